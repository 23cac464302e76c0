"""Local patterns: what repeats along the sequence and reaches only so far, with or without a few global tokens."""

import math
from dataclasses import dataclass

from attnkit.attention.pattern import (
    Anchors,
    Both,
    Causal,
    Dilated,
    Either,
    Full,
    Neighbours2D,
    Outside,
    Segments,
    Strided,
    Window,
)
from attnkit.attention.pattern.base import Pattern


@dataclass(frozen=True)
class Local:
    """`band` repeats every `period` positions and reaches only so far; the first `anchors` positions are global.

    Query and key meet only where their distance is a multiple of `dilation`, anchors apart.
    """

    pattern: Pattern
    band: Pattern
    anchors: int
    period: int
    dilation: int

    def reach(self, first: int, last: int) -> tuple[int, int]:
        """The first and the last key that queries at `first` .. `last` may meet, anchors apart."""
        low, high = self.band.reach(first, last)
        assert low is not None and high is not None
        return low, high


def local(pattern: Pattern) -> Local | None:
    """The pattern as a band with or without anchors, or None where it is not one.

    Known are windows, dilated windows, segments of a width, neighbours on a grid and what `&` and `|` make of them;
    each `| Anchors(n)`, where either the anchors or all of it may be `& Causal()`.
    """
    parted = _parted(pattern)
    if parted is None:
        return None
    band, anchors = parted
    period = _period(band)
    assert period is not None
    return Local(pattern, band, anchors, period, _dilation(band))


def _parted(pattern: Pattern) -> tuple[Pattern, int] | None:
    """The band and the number of anchors."""
    if _period(pattern) is not None and None not in pattern.reach(0, 0):
        return pattern, 0
    # Exact types: a user's own class derived from one of these may name other pairs.
    if type(pattern) is Either:
        for band, rest in ((pattern.first, pattern.second), (pattern.second, pattern.first)):
            count, parted = _anchors(rest), _parted(band)
            if count and parted is not None and parted[1] == 0:
                return parted[0], count
    if type(pattern) is Both:
        for inner, rest in ((pattern.first, pattern.second), (pattern.second, pattern.first)):
            parted = _parted(inner) if type(rest) is Causal else None
            if parted is not None:
                return Both(parted[0], Causal()), parted[1]
    return None


def _anchors(pattern: Pattern) -> int:
    """How many first positions are met by every later query; 0 where the pattern is something else."""
    if type(pattern) is Anchors:
        return pattern.count
    if type(pattern) is Both:
        sides = (pattern.first, pattern.second)
        if Causal in map(type, sides):
            return max(side.count if type(side) is Anchors else 0 for side in sides)
    return 0


def _period(pattern: Pattern) -> int | None:
    """A number of positions by which queries and keys may be moved together without changing who meets."""
    if type(pattern) in (Full, Causal, Window, Dilated, Strided):
        return 1
    if type(pattern) is Segments:
        return pattern.width_tokens
    if type(pattern) is Neighbours2D:
        return pattern.columns
    if type(pattern) is Outside:
        return _period(pattern.inner)
    if type(pattern) in (Both, Either):
        assert isinstance(pattern, Both | Either)
        first, second = _period(pattern.first), _period(pattern.second)
        return None if first is None or second is None else math.lcm(first, second)
    return None


def _dilation(pattern: Pattern) -> int:
    """A number that divides every distance at which the pattern lets meet."""
    if type(pattern) is Dilated:
        return pattern.dilation
    if type(pattern) is Both:
        return max(_dilation(pattern.first), _dilation(pattern.second))
    if type(pattern) is Either:
        return math.gcd(_dilation(pattern.first), _dilation(pattern.second))
    return 1
