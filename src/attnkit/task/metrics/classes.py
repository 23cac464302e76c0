"""How well one class of several was predicted."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.metrics import accuracy_score, average_precision_score, confusion_matrix, precision_recall_fscore_support

from attnkit.errors import UsageError
from attnkit.task.metrics.bootstrap import (
    LEVEL,
    RESAMPLES,
    Floats,
    affordable_resamples,
    cell_counts,
    generator_or_default,
    interval,
    protocol,
    row_counts,
)
from attnkit.task.metrics.calibration import BINS, CalibrationBins
from attnkit.task.metrics.counts import mean_of_defined, precision_recall_f1
from attnkit.task.metrics.measure import Measure
from attnkit.task.metrics.ranking import RankedClass

Indices = NDArray[np.int64]


def class_measures(
    truth: Indices,
    probabilities: Floats,
    classes: tuple[str, ...],
    generator: np.random.Generator | None = None,
    resamples: int = RESAMPLES,
) -> dict[str, Measure]:
    """Measure predicted probabilities (n, C) against the true class of each row (n,).

    Gives accuracy; precision, recall, F1 and average precision, each averaged over the classes ("f1_macro",
    "average_precision") and per class ("f1:NAME"); and the expected calibration error. The predicted class is the most
    probable one, the first of equals. Classes that stand neither in the truth nor among the predictions are left out of
    means (scikit-learn's convention).

    Raises: UsageError where there is no row.
    """
    if truth.size == 0:
        raise UsageError("There is no row to measure; give at least one labeled row.")
    generator = generator_or_default(generator)
    guess = probabilities.argmax(axis=1)
    measures = _from_confusion(truth, guess, classes, generator, resamples)
    return measures | _from_probabilities(truth, guess, probabilities, classes, generator, resamples)


def _from_confusion(
    truth: Indices, guess: Indices, classes: tuple[str, ...], generator: np.random.Generator, resamples: int
) -> dict[str, Measure]:
    n, width = truth.size, len(classes)
    table = confusion_matrix(truth, guess, labels=np.arange(width))
    present = np.flatnonzero(table.sum(0) + table.sum(1))
    drawn = cell_counts(table.ravel(), resamples, generator).reshape(-1, width, width)
    hits = np.einsum("rcc->rc", drawn)
    figures = precision_recall_f1(hits, drawn.sum(1), drawn.sum(2))

    def measure(name: str, value: float, resampled: Floats, rows: int, what: str) -> Measure:
        return Measure(name, value, *interval(value, resampled), rows, protocol(what, resamples))

    accuracy = float(accuracy_score(truth, guess))
    measures = {"accuracy": measure("accuracy", accuracy, hits.sum(1) / n, n, "share of rows predicted right")}
    points = dict(
        zip(
            ("precision", "recall", "f1", "rows"),
            precision_recall_fscore_support(truth, guess, labels=present, average=None, zero_division=0),
            strict=True,
        )
    )
    for kind, resampled in figures.items():
        name = f"{kind}_macro"
        what = "mean over the classes seen in truth or prediction"
        measures[name] = measure(name, float(points[kind].mean()), mean_of_defined(resampled), n, what)
    for kind, resampled in figures.items():
        for at, c in enumerate(present):
            name, what = f"{kind}:{classes[c]}", "this class against the rest; n = its rows"
            measures[name] = measure(name, float(points[kind][at]), resampled[:, c], int(points["rows"][at]), what)
    return measures


def _from_probabilities(
    truth: Indices,
    guess: Indices,
    probabilities: Floats,
    classes: tuple[str, ...],
    generator: np.random.Generator,
    resamples: int,
) -> dict[str, Measure]:
    n = truth.size
    present = np.unique(truth)
    resamples = affordable_resamples(resamples, n, present.size)
    ranked = [RankedClass.of(truth == c, probabilities[:, c]) for c in present]
    bins = CalibrationBins.of(probabilities.max(axis=1), guess == truth)
    precisions, errors = [], []
    for counts in row_counts(n, resamples, generator):
        precisions.append(np.stack([one.average_precision(counts) for one in ranked], axis=1))
        errors.append(bins.error(counts))
    drawn, error = np.concatenate(precisions), float(bins.error(np.ones((1, n)))[0])

    points = [float(average_precision_score(truth == c, probabilities[:, c])) for c in present]
    name, value = "average_precision", float(np.mean(points))
    what = "area under precision against recall, one class against the rest, mean over the classes seen in truth"
    measures = {name: Measure(name, value, *interval(value, mean_of_defined(drawn)), n, protocol(what, resamples))}
    name, what = "calibration_error", f"expected calibration error of the predicted class, {BINS} bins of equal width"
    limits = interval(error, np.concatenate(errors))
    measures[name] = Measure(name, error, *limits, n, protocol(what, resamples))
    for at, c in enumerate(present):
        name, value = f"average_precision:{classes[c]}", points[at]
        rows, what = int((truth == c).sum()), "this class against the rest; n = its rows"
        measures[name] = Measure(name, value, *interval(value, drawn[:, at]), rows, protocol(what, resamples))
    return measures


@dataclass(frozen=True)
class Confusion:
    """Counts (C, C), rows the true class and columns the predicted one, with the 95 % interval of each cell.

    A resampled cell is binomial(n, count/n), so its percentiles are taken from the binomial itself: the limit of
    infinitely many resamples.
    """

    classes: tuple[str, ...]
    counts: Indices
    low: Indices
    high: Indices
    n: int

    @classmethod
    def of(cls, truth: Indices, guess: Indices, classes: tuple[str, ...]) -> "Confusion":
        """Count true classes (n,) against predicted ones (n,).

        Raises: UsageError where there is no row.
        """
        if truth.size == 0:
            raise UsageError("There is no row to count; give at least one labeled row.")
        counts = confusion_matrix(truth, guess, labels=np.arange(len(classes)))
        low, high = (binom.ppf(q, truth.size, counts / truth.size) for q in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
        return cls(classes, counts, low.astype(np.int64), high.astype(np.int64), int(truth.size))

    def to_dict(self) -> dict[str, object]:
        """Give plain data for JSON."""
        return {
            "classes": list(self.classes),
            "counts": self.counts.tolist(),
            "low": self.low.tolist(),
            "high": self.high.tolist(),
            "n": self.n,
            "protocol": "rows: true class, columns: predicted class; 95 % percentile bootstrap of rows, exact limit",
        }
