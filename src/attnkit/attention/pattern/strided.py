"""Strided attention: every so many tokens."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import require
from attnkit.attention.pattern.base import Pattern, Reach
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Strided(Pattern):
    """Query at i meets the keys a whole number of strides away: (i - j) mod stride = 0; with `causal` j <= i too.

    Sparse Transformers join it with a causal window: `Window(l, causal=True) | Strided(l, causal=True)`.

    Picture: Strided(3)
    ```
    #..#..#.
    .#..#..#
    ..#..#..
    #..#..#.
    .#..#..#
    ..#..#..
    #..#..#.
    .#..#..#
    ```

    Raises: ValueError where `stride` is below one.
    Source: Child et al. (2019), Generating long sequences with sparse transformers, section 4.2, second head.
    Cost: T x S / stride pairs.
    """

    stride: int
    causal: bool = False

    def __post_init__(self) -> None:
        require(self.stride >= 1, self, "stride", "at least 1")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """(i - j) mod stride = 0."""
        strides = (i - j) % self.stride == 0
        return strides & (j <= i) if self.causal else strides

    def reach(self, first: int, last: int) -> Reach:
        """Up to the last query where causal."""
        return None, last if self.causal else None

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True
