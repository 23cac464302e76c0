"""Dilated window: a neighbourhood with holes."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import require
from attnkit.attention.pattern.base import Pattern, Reach
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Dilated(Pattern):
    """Query at i meets `width_keys` keys that stand `dilation` apart: i + m * dilation, m in -(w//2) .. (w-1)//2.

    With `causal` m runs over -(w-1) .. 0. Dilation 1 is `Window`.

    Picture: Dilated(3, dilation=2)
    ```
    #.#.....
    .#.#....
    #.#.#...
    .#.#.#..
    ..#.#.#.
    ...#.#.#
    ....#.#.
    .....#.#
    ```

    Raises: ValueError where `width_keys` or `dilation` is below one.
    Source: Beltagy et al. (2020), Longformer, section 3.1; after Yu and Koltun (2016).
    Cost: T x width_keys pairs.
    """

    width_keys: int
    dilation: int = 2
    causal: bool = False

    def __post_init__(self) -> None:
        require(self.width_keys >= 1, self, "width_keys", "at least 1")
        require(self.dilation >= 1, self, "dilation", "at least 1")
        # Up to two keys both windows are the same set of pairs; one name for it keeps `causal` exact.
        if self.width_keys <= 2:
            object.__setattr__(self, "causal", True)

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """A window of width_keys * dilation tokens, every dilation-th of them."""
        ahead = 0 if self.causal else (self.width_keys - 1) // 2
        last = i + ahead * self.dilation
        return (j <= last) & (j > last - self.width_keys * self.dilation) & ((i - j) % self.dilation == 0)

    def reach(self, first: int, last: int) -> Reach:
        """The windows of the two ends."""
        ahead = 0 if self.causal else (self.width_keys - 1) // 2
        return first + (ahead - self.width_keys + 1) * self.dilation, last + ahead * self.dilation

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True
