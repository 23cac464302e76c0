"""The same numbers, sooner: kernels, and the plan that chooses among them."""

from attnkit.kernels.attend import attend
from attnkit.kernels.plan import Plan, plan
from attnkit.kernels.situation import Situation

__all__ = ["Plan", "Situation", "attend", "plan"]
