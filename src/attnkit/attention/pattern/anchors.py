"""Anchors: a few global tokens that see all and are seen by all."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import require
from attnkit.attention.pattern.base import Pattern, Reach
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Anchors(Pattern):
    """The first `count` positions meet everything and everything meets them.

    Join it: `Window(w) | Anchors(n)` is Longformer's pattern, `& Causal()` its one-way form.

    Picture: Anchors(2)
    ```
    ########
    ########
    ##......
    ##......
    ##......
    ##......
    ##......
    ##......
    ```

    Raises: ValueError where `count` is below one.
    Source: Beltagy et al. (2020), Longformer, section 3.1; Zaheer et al. (2020), BigBird-ITC.
    Cost: count x (T + S) pairs.
    """

    count: int

    def __post_init__(self) -> None:
        require(self.count >= 1, self, "count", "at least 1")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """i < count or j < count."""
        return (i < self.count) | (j < self.count)

    def reach(self, first: int, last: int) -> Reach:
        """The anchors alone, where no query is one."""
        return (None, None) if first < self.count else (None, self.count - 1)
