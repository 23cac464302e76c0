"""The points of which no other is at least as good in both ways."""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def pareto(points: Sequence[T], cost: Callable[[T], float], loss: Callable[[T], float]) -> list[T]:
    """Those that nothing cheaper, or as cheap, loses less than, from the cheapest on; of equal ones the first."""
    kept: list[T] = []
    for point in sorted(points, key=lambda one: (cost(one), loss(one))):
        if not kept or loss(point) < loss(kept[-1]):
            kept.append(point)
    return kept
