"""Expected calibration error: do rows predicted with 80 % come true 80 % of the time?"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attnkit.task.metrics.bootstrap import Floats

BINS = 15


@dataclass(frozen=True)
class CalibrationBins:
    """Each row's (right - confidence), standing in the column of its confidence bin: gaps (n, bins).

    ECE = sum over bins b of |sum of rows in b of (right - confidence)| / n, bins ((b-1)/15, b/15].

    Source: Naeini, Cooper & Hauskrecht 2015; Guo et al. 2017, equation 3.
    """

    gaps: Floats

    @classmethod
    def of(cls, confidence: Floats, right: NDArray[np.bool_]) -> "CalibrationBins":
        """Sort rows with their confidence (n,) in [0, 1] and whether they were right (n,) into bins."""
        place = _bin(confidence)
        gaps = np.zeros((confidence.size, BINS))
        gaps[np.arange(confidence.size), place] = right - confidence
        return cls(gaps)

    def error(self, counts: Floats) -> Floats:
        """Give the error of each resample, counts (r, n) to (r,)."""
        return np.abs(counts @ self.gaps).sum(axis=1) / counts.sum(axis=1)


def reliability(confidence: Floats, right: NDArray[np.bool_]) -> list[dict[str, float | int | None]]:
    """Give each bin's limits (low, high], its n, its mean confidence and the share that came true (None where n is 0).

    `confidence` and `right` are (n,); the expected calibration error is sum over bins of n |right - confidence| / n.

    Source: Guo et al. 2017, figure 1.
    """
    place = _bin(confidence)
    bins: list[dict[str, float | int | None]] = []
    for number in range(BINS):
        held = place == number
        n = int(held.sum())
        bins.append(
            {
                "low": number / BINS,
                "high": (number + 1) / BINS,
                "n": n,
                "confidence": float(confidence[held].mean()) if n else None,
                "right": float(right[held].mean()) if n else None,
            }
        )
    return bins


def _bin(confidence: Floats) -> NDArray[np.int64]:
    return np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
