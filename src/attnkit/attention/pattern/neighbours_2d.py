"""Neighbours on a grid: a window for images read row by row."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import require
from attnkit.attention.pattern.base import Pattern, Reach
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Neighbours2D(Pattern):
    """Query and key meet where both their row and their column differ by at most `radius`, `columns` tokens a row.

    Row p // columns, column p mod columns; a square of (2 radius + 1)^2 keys, cut at the borders.

    Picture: Neighbours2D(columns=4, radius=1)
    ```
    ##..##..
    ###.###.
    .###.###
    ..##..##
    ##..##..
    ###.###.
    .###.###
    ..##..##
    ```

    Raises: ValueError where `columns` is below one or `radius` below zero.
    Source: Parmar et al. (2018), Image transformer, section 3.3; Hassani et al. (2023), Neighborhood attention.
    Cost: T x (2 radius + 1)^2 pairs.
    """

    columns: int
    radius: int = 1

    def __post_init__(self) -> None:
        require(self.columns >= 1, self, "columns", "at least 1")
        require(self.radius >= 0, self, "radius", "at least 0")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """Chebyshev distance on the grid <= radius."""
        down = (i // self.columns - j // self.columns).abs()
        across = (i % self.columns - j % self.columns).abs()
        return (down <= self.radius) & (across <= self.radius)

    def reach(self, first: int, last: int) -> Reach:
        """`radius` rows and columns beyond the two ends."""
        beyond = self.radius * (self.columns + 1)
        return first - beyond, last + beyond

    @property
    def causal(self) -> bool:
        """True for the token alone, radius 0."""
        return self.radius == 0

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True
