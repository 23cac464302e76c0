"""Pairs: two computations timed turn about, and the median of their ratio."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Median of time / other time over `pairs` interleaved pairs, with the half-width of its notch.

    The half-width is 1.57 x interquartile range / sqrt(pairs), about a 95 % interval of the median.
    Source: McGill, Tukey and Larsen (1978), Variations of box plots.
    """

    median: float
    half_width: float
    pairs: int
    wall: float
    seconds: float

    def faster(self) -> "Ratio":
        """The same as other time / time."""
        width = self.half_width / self.median**2
        return Ratio(1 / self.median, width, self.pairs, 1 / self.wall, self.seconds)

    def __str__(self) -> str:
        return f"{self.median:.2f} ± {self.half_width:.2f}"


def measured(
    first: Callable[[], object], second: Callable[[], object], pairs: int, most_seconds: float = float("inf")
) -> Ratio:
    """The ratio of process CPU times, first over second, the two taking turns at going first.

    Stops early, but not before five pairs, once `most_seconds` are spent. `seconds` is the median of the first.
    """
    first(), second()
    cpu: list[float] = []
    wall: list[float] = []
    taken: list[float] = []
    began = time.monotonic()
    for index in range(pairs):
        order = (first, second) if index % 2 == 0 else (second, first)
        spent = {}
        for each in order:
            wall_began, cpu_began = time.perf_counter(), time.process_time()
            each()
            spent[each] = (time.process_time() - cpu_began, time.perf_counter() - wall_began)
        cpu.append(spent[first][0] / spent[second][0])
        wall.append(spent[first][1] / spent[second][1])
        taken.append(spent[first][0])
        if len(cpu) >= 5 and time.monotonic() - began > most_seconds:
            break
    spread = 0.0
    if len(cpu) > 1:
        lower, _, upper = statistics.quantiles(cpu, n=4, method="inclusive")
        spread = 1.57 * (upper - lower) / len(cpu) ** 0.5
    return Ratio(statistics.median(cpu), spread, len(cpu), statistics.median(wall), statistics.median(taken))
