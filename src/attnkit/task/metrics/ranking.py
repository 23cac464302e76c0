"""Average precision of one score against yes/no truth, for many resamples at once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnkit.task.metrics.bootstrap import Floats


@dataclass(frozen=True)
class RankedClass:
    """Rows of one class sorted by score once, so that a resample costs one pass over its row counts.

    AP = sum over thresholds g of (recall_g - recall_{g-1}) * precision_g; rows of equal score share a threshold. Only
    thresholds at which a positive row stands contribute, so the rows between two of them are summed together.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    positives: NDArray[np.intp]
    positive_starts: NDArray[np.intp]

    @classmethod
    def of(cls, truth: NDArray[np.bool_], scores: Floats) -> "RankedClass":
        """Sort scores (n,) against truth (n,); truth must hold at least one positive."""
        order = np.argsort(-scores, kind="stable")
        ranked, positive = scores[order], truth[order]
        threshold = np.concatenate([[0], np.cumsum(ranked[1:] != ranked[:-1])])
        at_positive = threshold[positive]
        used = np.unique(at_positive)
        ends = np.searchsorted(threshold, used, side="right")
        starts = np.concatenate([[0], ends[:-1]])
        return cls(order[: ends[-1]], starts, order[positive], np.searchsorted(at_positive, used))

    def average_precision(self, counts: Floats) -> Floats:
        """Give the average precision of each resample, counts (r, n) to (r,); NaN where no positive was drawn."""
        seen = np.add.reduceat(counts[:, self.order], self.starts, axis=1).cumsum(axis=1)
        hits = np.add.reduceat(counts[:, self.positives], self.positive_starts, axis=1)
        found = hits.cumsum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            precision = np.where(seen > 0, found / seen, 0.0)
            return (hits * precision).sum(axis=1) / found[:, -1]
