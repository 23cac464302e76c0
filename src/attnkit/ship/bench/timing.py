"""Latencies of several calls, interleaved, so that whatever else the machine does falls on all alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

WARM_SECONDS, WARM_CALLS = 1.0, 5


@dataclass(frozen=True)
class Latency:
    """Seconds of a call: median and 95th percentile, and how many times faster than the first side.

    `ratio` is the median over rounds of (first side's seconds) / (this one's), each taken in the same round, with its
    quartiles.
    """

    p50: float
    p95: float
    ratio: float
    ratio_low: float
    ratio_high: float
    calls: int


def latencies(calls: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, Latency]:
    """Time the calls in turn, one call each a round, for about `seconds` each, after each was warmed for itself.

    The order turns with each round, so that no side always follows the same other one.
    """
    names = list(calls)
    paces = {name: _warm(calls[name], min(WARM_SECONDS, seconds)) for name in names}
    rounds = int(max(10, min(2000, seconds * len(names) / max(1e-9, sum(paces.values())))))
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            begun = time.perf_counter()
            calls[name]()
            found[name].append(time.perf_counter() - begun)
    first = np.array(found[names[0]])
    return {name: _latency(first, np.array(times)) for name, times in found.items()}


def _warm(call: Callable[[], Any], seconds: float) -> float:
    """Call until caches are full, and give the seconds of a call."""
    begun = time.perf_counter()
    times: list[float] = []
    while len(times) < WARM_CALLS or time.perf_counter() - begun < seconds:
        at = time.perf_counter()
        call()
        times.append(time.perf_counter() - at)
    return float(np.median(times))


def _latency(first: NDArray[Any], times: NDArray[Any]) -> Latency:
    ratios = first / times
    low, middle, high = np.percentile(ratios, [25, 50, 75])
    p50, p95 = np.percentile(times, [50, 95])
    return Latency(float(p50), float(p95), float(middle), float(low), float(high), len(times))
