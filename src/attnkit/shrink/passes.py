"""How often a child passes over the training rows, where there is something to train."""

from attnkit.errors import UsageError
from attnkit.shrink.holding import Holding
from attnkit.shrink.plan import Wish


def passes(wish: Wish, holding: Holding, epochs: int | None, learning_rate: float | None, distill: bool) -> int:
    """`epochs`, or where that is left open 1, and 0 where weights are stored otherwise and nothing else is asked for.

    Raises: UsageError where something is said of a training that there is not.
    """
    asked = [f"--epochs {epochs}"] if epochs else []
    asked += ["--learning-rate"] if learning_rate is not None else []
    asked += ["--distill"] if distill else []
    if not wish and not holding.kinds:
        if asked:
            raise UsageError(
                f"--store {holding.store} alone leaves nothing to train, and {' and '.join(asked)} would; leave "
                f"{'it' if len(asked) == 1 else 'them'} out, or let something else go too"
            )
        return 0
    asked += ["--rounded"] if holding.rounded else []
    if epochs == 0 and asked:
        verb = "is" if len(asked) == 1 else "are"
        raise UsageError(f"{' and '.join(asked)} {verb} of a training, and --epochs 0 asks for none; leave one out")
    return 1 if epochs is None else epochs
