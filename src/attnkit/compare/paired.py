"""Paired differences between arms, with intervals over rows and seeds, and what is a tie after correction."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from attnkit.task.metrics.bootstrap import Floats, interval

LEVEL = 0.05
BETTER, WORSE, TIE = "better", "worse", "tie"


@dataclass(frozen=True)
class Difference:
    """How far an arm lies above another in the measure: value, its own 95 % interval, and the verdict.

    `p` is the two-sided bootstrap p-value, `adjusted` the same after Holm's correction over the family it was tested
    in, and `verdict` "better", "worse" or "tie" by `adjusted` at the level 0.05.
    """

    value: float
    low: float
    high: float
    p: float
    adjusted: float
    verdict: str

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Resampled:
    """Figures of arms: `mean_A` over seeds, `drawn_RA` the same for each resample of rows and seeds."""

    mean_A: Floats
    drawn_RA: Floats

    def interval(self, arm: int) -> tuple[float, float]:
        """The 95 % interval of one arm."""
        return interval(float(self.mean_A[arm]), self.drawn_RA[:, arm])


def over_seeds(figures_AS: Floats, drawn_RAS: Floats, generator: np.random.Generator) -> Resampled:
    """The mean over seeds, and for each resample of the rows the mean over S - 1 seeds drawn with replacement.

    All arms meet the same rows and the same seeds. Only S - 1 of S seeds are drawn, as the mean of S drawn ones has but
    (S - 1)/S of the variance of the mean of S fresh ones; with one seed only rows are resampled.

    Source: rows and seeds resampled independently, Owen 2007, The pigeonhole bootstrap; S - 1 of S, Rao and Wu 1988,
    Resampling inference with complex survey data, section 2.
    """
    seeds = figures_AS.shape[1]
    if seeds == 1:
        return Resampled(figures_AS[:, 0], drawn_RAS[:, :, 0])
    picked_RS = generator.multinomial(seeds - 1, np.full(seeds, 1 / seeds), size=len(drawn_RAS)) / (seeds - 1)
    return Resampled(figures_AS.mean(1), np.einsum("ras,rs->ra", drawn_RAS, picked_RS))


def differences(
    arms: Resampled, pairs: Sequence[tuple[int, int]], higher_is_better: bool
) -> dict[tuple[int, int], Difference]:
    """For each pair (a, b) how far a lies above b, the pairs being one family for Holm's correction.

    p = (1 + number of resamples with |d* - d| >= |d|) / (1 + resamples), d* - d standing for d under no difference.

    Source: Davison and Hinkley 1997, Bootstrap methods and their application, section 4.4; Holm 1979.
    """
    found = []
    for a, b in pairs:
        value = float(arms.mean_A[a] - arms.mean_A[b])
        drawn = arms.drawn_RA[:, a] - arms.drawn_RA[:, b]
        far = np.abs(drawn - value) >= abs(value) - 1e-12
        found.append((value, *interval(value, drawn), (1 + int(far.sum())) / (1 + len(drawn))))
    adjusted = holm([entry[3] for entry in found])
    result = {}
    for pair, (value, low, high, p), corrected in zip(pairs, found, adjusted, strict=True):
        told = TIE if corrected >= LEVEL else BETTER if (value > 0) == higher_is_better else WORSE
        result[pair] = Difference(value, low, high, p, corrected, told)
    return result


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values: the k-th smallest of m times (m - k + 1), never below the one before it, at most 1.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    order = sorted(range(len(p_values)), key=lambda at: p_values[at])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for place, at in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - place) * p_values[at]))
        adjusted[at] = highest
    return adjusted
