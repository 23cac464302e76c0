"""Lengths that a model of fixed sizes is made for: a text goes into the shortest that holds it."""

from collections.abc import Sequence

MOST, LEAST = 4, 8


def buckets(longest: int) -> tuple[int, ...]:
    """At most four lengths up to `longest`, each half of the next, the shortest first; none below 8 but `longest`."""
    found = [longest]
    while len(found) < MOST and found[-1] // 2 >= LEAST:
        found.append(-(-found[-1] // 2))
    return tuple(reversed(found))


def bucket_for(tokens: int, lengths: Sequence[int]) -> int:
    """The shortest of the lengths, which ascend, that holds so many tokens; the longest where none does."""
    return next((length for length in lengths if length >= tokens), lengths[-1])
