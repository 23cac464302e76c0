"""Percentile bootstrap intervals, vectorised: a resample is a vector of counts, never a copy of the rows."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 1000
FEWEST_RESAMPLES = 200
LEVEL = 0.95
# Row weights times classes that one call may visit: about one second on one core.
BUDGET = 200_000_000
CHUNK = 2_000_000


def generator_or_default(generator: np.random.Generator | None) -> np.random.Generator:
    """Give the generator itself, or one seeded with 0, so that the same rows give the same interval."""
    return np.random.default_rng(0) if generator is None else generator


def affordable_resamples(resamples: int, rows: int, columns: int = 1) -> int:
    """Give the number of resamples, at most `resamples`, whose row weights fit the budget, and at least 200."""
    return min(resamples, max(FEWEST_RESAMPLES, BUDGET // max(rows * columns, 1)))


def cell_counts(counts: NDArray[np.integer], resamples: int, generator: np.random.Generator) -> Floats:
    """Resample rows that are known only by the cell they fall in: counts (K,) to (resamples, K).

    Drawing n rows with replacement and counting them by cell is one multinomial draw, whatever n is.
    Source: Efron & Tibshirani 1993, chapter 5.
    """
    total = int(counts.sum())
    used = np.flatnonzero(counts)
    drawn = np.zeros((resamples, counts.size))
    drawn[:, used] = generator.multinomial(total, counts[used] / total, size=resamples)
    return drawn


def row_counts(rows: int, resamples: int, generator: np.random.Generator) -> Iterator[Floats]:
    """Yield how often each row stands in each resample, (r, rows) at a time, `resamples` in all."""
    step = max(1, CHUNK // rows)
    for start in range(0, resamples, step):
        r = min(step, resamples - start)
        drawn = generator.integers(0, rows, size=(r, rows))
        drawn += np.arange(r)[:, None] * rows
        yield np.bincount(drawn.ravel(), minlength=r * rows).reshape(r, rows).astype(np.float64)


def interval(value: float, resampled: Floats) -> tuple[float, float]:
    """Give the 2.5 % and 97.5 % percentiles of the resampled values, widened to hold the value itself.

    Resamples in which the figure is undefined (NaN: a class that was not drawn) are left out. The widening matters for
    biased figures alone, such as the calibration error near zero.
    """
    defined = resampled[~np.isnan(resampled)]
    if defined.size == 0:
        return value, value
    low, high = np.percentile(defined, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return min(float(low), value), max(float(high), value)


def protocol(what: str, resamples: int) -> str:
    """Say what was measured and how its interval came about."""
    return f"{what}; 95 % percentile bootstrap of rows, {resamples} resamples"
