"""How well graded scores were predicted."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import mean_absolute_error, r2_score, root_mean_squared_error

from attnkit.errors import UsageError
from attnkit.task.metrics.bootstrap import (
    RESAMPLES,
    Floats,
    affordable_resamples,
    generator_or_default,
    interval,
    protocol,
    row_counts,
)
from attnkit.task.metrics.measure import Measure

WHAT = {
    "pearson": "Pearson correlation, 0 where either side is constant",
    "spearman": "Spearman rank correlation, mean rank for ties, 0 where either side is constant",
    "mae": "mean absolute error in the units of the label",
    "rmse": "root of the mean squared error in the units of the label",
    "r2": "1 - squared error / squared deviation from the mean, 0 where the label is constant",
}


def score_measures(
    truth: Floats, guess: Floats, generator: np.random.Generator | None = None, resamples: int = RESAMPLES
) -> dict[str, Measure]:
    """Measure predicted scores (n,) against true ones (n,): Pearson, Spearman, MAE, RMSE and R2.

    Raises: UsageError where there is no row.
    """
    if truth.size == 0:
        raise UsageError("There is no row to measure; give at least one row with a score.")
    resamples = affordable_resamples(resamples, truth.size)
    varied = _varied(truth)
    both_varied = varied and _varied(guess)
    points = {
        "pearson": float(pearsonr(truth, guess).statistic) if both_varied else 0.0,
        "spearman": float(spearmanr(truth, guess).statistic) if both_varied else 0.0,
        "mae": float(mean_absolute_error(truth, guess)),
        "rmse": float(root_mean_squared_error(truth, guess)),
        "r2": float(r2_score(truth, guess)) if varied else 0.0,
    }
    parts: list[dict[str, Floats]] = []
    resampler = ScoreResampler(truth, guess)
    for counts in row_counts(truth.size, resamples, generator_or_default(generator)):
        parts.append(resampler.figures(counts))
    measures = {}
    for name, value in points.items():
        drawn = np.concatenate([part[name] for part in parts])
        limits = interval(value, drawn)
        measures[name] = Measure(name, value, *limits, int(truth.size), protocol(WHAT[name], resamples))
    return measures


class ScoreResampler:
    """All five figures from sums over rows, weighted by how often each row was drawn."""

    def __init__(self, truth: Floats, guess: Floats) -> None:
        # Centering first keeps sums of squares from cancelling where scores are far from zero.
        x, y, error = truth - truth.mean(), guess - guess.mean(), guess - truth
        self.sums = np.stack([x, y, x * x, y * y, x * y, np.abs(error), error * error], axis=1)
        self.ranks = (_Ranks(truth), _Ranks(guess))

    def figures(self, counts: Floats) -> dict[str, Floats]:
        """Give each figure of each resample, counts (r, n) to (r,) each; NaN where a resample leaves it undefined."""
        n = counts.sum(axis=1)
        x, y, xx, yy, xy, absolute, squared = (counts @ self.sums / n[:, None]).T
        spread = _positive(xx - x * x, xx)
        a, b = (ranks.midranks(counts) - (n[:, None] + 1) / 2 for ranks in self.ranks)
        aa, bb, ab = ((counts * one * two).sum(axis=1) for one, two in ((a, a), (b, b), (a, b)))
        with np.errstate(invalid="ignore", divide="ignore"):
            return {
                "pearson": (xy - x * y) / np.sqrt(spread * _positive(yy - y * y, yy)),
                "spearman": np.where((aa > 0) & (bb > 0), ab / np.sqrt(aa * bb), np.nan),
                "mae": absolute,
                "rmse": np.sqrt(squared),
                "r2": 1 - squared / spread,
            }


class _Ranks:
    """Rows sorted once; a resample's mean ranks are then running sums of its counts."""

    def __init__(self, values: Floats) -> None:
        self.order: NDArray[np.intp] = np.argsort(values, kind="stable")
        ranked = values[self.order]
        first = np.concatenate([[True], ranked[1:] != ranked[:-1]])
        self.starts = np.flatnonzero(first)
        self.group = np.empty(values.size, dtype=np.intp)
        self.group[self.order] = np.cumsum(first) - 1

    def midranks(self, counts: Floats) -> Floats:
        sizes = np.add.reduceat(counts[:, self.order], self.starts, axis=1)
        last = sizes.cumsum(axis=1)
        return (last - (sizes - 1) / 2)[:, self.group]


def _varied(values: Floats) -> bool:
    """Tell whether values differ by more than rounding."""
    return bool(np.ptp(values) > 1e-12 * np.abs(values).max())


def _positive(variance: Floats, scale: Floats) -> Floats:
    """Put NaN where a variance is nothing but rounding."""
    return np.where(variance > 1e-12 * scale, variance, np.nan)
