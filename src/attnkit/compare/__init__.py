"""Many runs on the same rows: mechanisms beside one another, a recipe without each ingredient, shares of the rows."""

from attnkit.compare.comparison import Comparison, compare
from attnkit.compare.curve import Curve, curve

__all__ = ["Comparison", "Curve", "compare", "curve"]
