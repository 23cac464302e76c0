"""The frontier: how small, or how fast, a run can become for what it loses."""

from attnkit.shrink.frontier.account import Account, Kept, Trained, Tried
from attnkit.shrink.frontier.find import find_frontier
from attnkit.shrink.frontier.wish import Target, loss_of

__all__ = ["Account", "Kept", "Target", "Trained", "Tried", "find_frontier", "loss_of"]
