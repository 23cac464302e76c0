"""Prefix: both ways within the prompt, one way after it."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import require
from attnkit.attention.pattern.base import Pattern, Reach
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Prefix(Pattern):
    """Every query meets the first `length_tokens` keys, and those at j <= i.

    Picture: Prefix(3)
    ```
    ###.....
    ###.....
    ###.....
    ####....
    #####...
    ######..
    #######.
    ########
    ```

    Raises: ValueError where `length_tokens` is below one.
    Source: Liu et al. (2018), Generating Wikipedia; Raffel et al. (2020), section 3.2.1 (prefix LM).
    Cost: T x S / 2 + length_tokens^2 / 2 pairs.
    """

    length_tokens: int

    def __post_init__(self) -> None:
        require(self.length_tokens >= 1, self, "length_tokens", "at least 1")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """j < length_tokens or j <= i."""
        return (j < self.length_tokens) | (j <= i)

    def reach(self, first: int, last: int) -> Reach:
        """The prefix, or up to the last query."""
        return None, max(last, self.length_tokens - 1)

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True
