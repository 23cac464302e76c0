"""Segments: the sequence cut into pieces that do not see one another (分割注意力)."""

from dataclasses import dataclass
from typing import cast

from torch import Tensor

from attnkit.attention.part import require
from attnkit.attention.pattern.base import Pattern, Reach
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Segments(Pattern):
    """Query and key meet within one piece: pieces of `width_tokens`, or `count` equal pieces of the real length n.

    The piece of position p is p // width_tokens, or p * count // n with n the item's number of real keys, so that
    padding moves no border. A query that stands outside 0 .. n - 1 is in no piece.

    Picture: Segments(count=3)
    ```
    ###.....
    ###.....
    ###.....
    ...###..
    ...###..
    ...###..
    ......##
    ......##
    ```

    Raises: ValueError unless exactly one of `width_tokens` and `count` is given and is at least one.
    Source: Yang et al. (2016), Hierarchical attention networks, for the levels; Child et al. (2019) for the blocks.
    Cost: T x S / pieces pairs.
    """

    width_tokens: int | None = None
    count: int | None = None

    def __post_init__(self) -> None:
        if (self.width_tokens is None) == (self.count is None):
            raise ValueError(
                f"Segments takes exactly one of width_tokens and count; got width_tokens={self.width_tokens!r} and "
                f"count={self.count!r}"
            )
        require(self.width_tokens is None or self.width_tokens >= 1, self, "width_tokens", "at least 1")
        require(self.count is None or self.count >= 1, self, "count", "at least 1")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """Same piece."""
        if self.width_tokens is not None:
            return i // self.width_tokens == j // self.width_tokens
        length = where.real_lengths.clamp(min=1)[:, None, None, None]
        count = cast(int, self.count)
        return i * count // length == j * count // length

    def reach(self, first: int, last: int) -> Reach:
        """The pieces of the two ends; a count of pieces has borders that depend on the item."""
        width = self.width_tokens
        return (None, None) if width is None else (first // width * width, last // width * width + width - 1)

    @property
    def causal(self) -> bool:
        """True for pieces of a single token."""
        return self.width_tokens == 1

    @property
    def sees_itself(self) -> bool:
        """True by definition."""
        return True

    def refuses_cache(self) -> str | None:
        """A count of pieces needs the whole length."""
        if self.count is None:
            return None
        return f"Segments(count={self.count}) cuts the whole length, which grows while decoding; use width_tokens"
