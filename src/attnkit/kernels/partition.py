"""Partition: the queries cut into slabs, each with the keys that it can reach."""

from dataclasses import dataclass
from functools import lru_cache

from attnkit.attention.pattern.base import Pattern

# What starting a slab costs, in pairs of one head: the height of slabs weighs it against pairs beyond the pattern.
_STARTING_PAIRS = 1 << 15
HEIGHTS = (64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Slab:
    """Queries `start` to `stop`, and keys `first` to `last`: no key beyond is met by any of them."""

    start: int
    stop: int
    first: int
    last: int

    @property
    def pairs(self) -> int:
        """Pairs in the slab, a head."""
        return (self.stop - self.start) * (self.last - self.first)

    def reversed(self, T: int) -> "Slab":
        """The same queries, counted from the last one of T."""
        return Slab(T - self.stop, T - self.start, self.first, self.last)


@lru_cache(maxsize=256)
def partition(
    pattern: Pattern,
    T: int,
    S: int,
    aligned: bool,
    heights: tuple[int, ...] = HEIGHTS,
    starting: int = _STARTING_PAIRS,
) -> tuple[Slab, ...]:
    """The slabs of that one of `heights` which costs least; keys are left out where positions are the default ones."""
    cuts = [_cut(pattern, T, S, aligned, height) for height in heights]
    return min(cuts, key=lambda slabs: sum(slab.pairs + starting for slab in slabs))


def _cut(pattern: Pattern, T: int, S: int, aligned: bool, height: int) -> tuple[Slab, ...]:
    slabs = []
    for start in range(0, T, height):
        stop = min(T, start + height)
        low, high = pattern.reach(start + S - T, stop - 1 + S - T) if aligned else (None, None)
        first = 0 if low is None else min(max(low, 0), S)
        last = S if high is None else max(min(high + 1, S), first)
        slabs.append(Slab(start, stop, first, last))
    return tuple(slabs)
