"""Window: each token meets its neighbourhood."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import require
from attnkit.attention.pattern.base import Pattern, Reach
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Window(Pattern):
    """Query at i meets exactly `width_tokens` keys: i - w//2 .. i + (w-1)//2, or itself and the w - 1 before it.

    `causal` looks back alone. Fewer keys at the ends of the sequence, never more.

    Picture: Window(3)
    ```
    ##......
    ###.....
    .###....
    ..###...
    ...###..
    ....###.
    .....###
    ......##
    ```

    Raises: ValueError where `width_tokens` is below one.
    Source: Luong et al. (2015), section 3.2 (local attention); Beltagy et al. (2020), Longformer, section 3.1.
    Cost: T x width_tokens pairs.
    """

    width_tokens: int
    causal: bool = False

    def __post_init__(self) -> None:
        require(self.width_tokens >= 1, self, "width_tokens", "at least 1")
        # Up to two tokens both windows are the same set of pairs; one name for it keeps `causal` exact.
        if self.width_tokens <= 2:
            object.__setattr__(self, "causal", True)

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """-(w//2) <= j - i <= (w-1)//2, or -w < j - i <= 0."""
        ahead = 0 if self.causal else (self.width_tokens - 1) // 2
        return (j <= i + ahead) & (j > i + (ahead - self.width_tokens))

    def reach(self, first: int, last: int) -> Reach:
        """The windows of the two ends."""
        ahead = 0 if self.causal else (self.width_tokens - 1) // 2
        return first + ahead - self.width_tokens + 1, last + ahead

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True
