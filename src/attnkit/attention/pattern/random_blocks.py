"""Random blocks: a few far pairs of blocks, the same on every call."""

from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import overload

from torch import Tensor

from attnkit.attention.part import require
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.where import Where

_MASK = 0x7FFFFFFF


@overload
def scramble(x: int) -> int: ...


@overload
def scramble(x: Tensor) -> Tensor: ...


def scramble(x: int | Tensor) -> int | Tensor:
    """A 31-bit hash of 0 <= x < 2^32; no product reaches 2^63, so every device and export agrees on it."""
    x = ((x ^ (x >> 16)) * 0x45D9F3B) & _MASK
    x = ((x ^ (x >> 15)) * 0x2C1B3C6D) & _MASK
    return x ^ (x >> 16)


@dataclass(frozen=True)
class RandomBlocks(Pattern):
    """Block b of `block_tokens` tokens meets `count` blocks drawn from 0 .. b, and every block that draws it.

    Draw r falls into the r-th of `count` equal strips of 0 .. b, so the draws differ; the hash of (seed, r, b) picks
    the block in its strip. A pair is a function of its positions and the seed alone: a longer sequence adds blocks
    and changes none. Nothing else is included: BigBird is `RandomBlocks(...) | Window(...) | Anchors(...)`.

    Picture: RandomBlocks(block_tokens=1, count=2)
    ```
    #####...
    ###....#
    ##...##.
    #..##...
    #..#...#
    ..#..##.
    ..#..#..
    .#..#...
    ```

    Raises: ValueError where `block_tokens` or `count` is below one, or `seed` not in 0 .. 2^31 - 1.
    Source: Zaheer et al. (2020), Big Bird, section 2 (random attention).
    Cost: about 2 x T x count x block_tokens pairs.
    """

    block_tokens: int
    count: int
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.block_tokens >= 1, self, "block_tokens", "at least 1")
        require(self.count >= 1, self, "count", "at least 1")
        require(0 <= self.seed <= _MASK, self, "seed", "in 0 .. 2^31 - 1")

    def allowed(self, i: Tensor, j: Tensor, where: Where) -> Tensor:
        """One block draws the other."""
        query_block, key_block = i // self.block_tokens, j // self.block_tokens
        pairs = [(query_block, key_block), (key_block, query_block)]
        draws = range(self.count)
        return reduce(or_, (self._draws(draw, block, other) for draw in draws for block, other in pairs))

    def _draws(self, draw: int, block: Tensor, other: Tensor) -> Tensor:
        start = draw * (block + 1) // self.count
        size = (draw + 1) * (block + 1) // self.count - start
        key = scramble(scramble(self.seed) + draw)
        chosen = start + scramble(block.clamp(min=0) + key) % size.clamp(min=1)
        return (size > 0) & (chosen == other)
