"""Figures of several models under resampling: what each would have measured on other rows of the same kind."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor

from attnkit.data.examples import Example
from attnkit.task.base import Task
from attnkit.task.metrics.bootstrap import Floats, affordable_resamples, cell_counts, row_counts
from attnkit.task.metrics.counts import mean_of_defined
from attnkit.task.metrics.ranking import RankedClass

RESAMPLES = 4000


def resampled(
    task: Task, rows: Sequence[Example], outputs: Sequence[Tensor], generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """(figures (models,), resampled figures (resamples, models)) of the measure by which `task` selects.

    `outputs` are logits (n, C) a model, or predicted scores (n, 1) in the label's own units. All models meet the same
    resamples of the rows.
    """
    if task.kind == "single":
        truth = task.targets(rows).numpy()
        right = np.stack([one.numpy().argmax(1) == truth for one in outputs], 1).astype(np.float64)
        # Rows that the same cells got right are alike: their number is all that a resample changes.
        patterns, counts = np.unique(right, axis=0, return_counts=True)
        return right.mean(0), cell_counts(counts, RESAMPLES, generator) @ patterns / len(right)
    if task.kind == "score":
        truth = np.array([[float(row.label)] for row in rows])  # type: ignore[arg-type]
        squared = np.concatenate([(one.double().numpy() - truth) ** 2 for one in outputs], 1)
        return np.sqrt(squared.mean(0)), np.sqrt(_means(squared, generator))
    truth_nC = task.targets(rows).numpy() > 0.5
    return _precisions(truth_nC, [expit(one.double().numpy()) for one in outputs], generator)


def _means(values: Floats, generator: np.random.Generator) -> Floats:
    rows = len(values)
    return np.concatenate([counts @ values / rows for counts in row_counts(rows, RESAMPLES, generator)])


def _precisions(
    truth_nC: NDArray[np.bool_], chances: Sequence[Floats], generator: np.random.Generator
) -> tuple[Floats, Floats]:
    """The mean average precision over the labels that occur."""
    present = np.flatnonzero(truth_nC.any(0))
    ranked = [[RankedClass.of(truth_nC[:, c], one[:, c]) for c in present] for one in chances]

    def figures(counts: Floats) -> Floats:
        each = [np.stack([label.average_precision(counts) for label in cell], 1) for cell in ranked]
        return np.stack([mean_of_defined(one) for one in each], 1)

    rows = len(truth_nC)
    resamples = affordable_resamples(RESAMPLES, rows, len(present) * len(chances))
    drawn = np.concatenate([figures(counts) for counts in row_counts(rows, resamples, generator)])
    # A resample without a row of any label has no figure.
    return figures(np.ones((1, rows)))[0], drawn[np.isfinite(drawn).all(1)]
