"""Precision, recall and F1 from counts, with the one convention that all measures share."""

import numpy as np

from attnkit.task.metrics.bootstrap import Floats


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide, with 0 / 0 = 0."""
    return np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below > 0)


def precision_recall_f1(hits: Floats, guessed: Floats, actual: Floats) -> dict[str, Floats]:
    """Give precision = hits/guessed, recall = hits/actual, F1 = 2 hits/(guessed + actual), elementwise.

    A class that stands neither in the truth nor among the predictions is undefined (NaN); otherwise 0 / 0 = 0.
    """
    gone = guessed + actual == 0
    figures = {
        "precision": ratio(hits, guessed),
        "recall": ratio(hits, actual),
        "f1": ratio(2 * hits, guessed + actual),
    }
    return {name: np.where(gone, np.nan, figure) for name, figure in figures.items()}


def mean_of_defined(figures: Floats) -> Floats:
    """Average over the last axis, leaving undefined (NaN) entries out; NaN where all are undefined."""
    defined = ~np.isnan(figures)
    count = defined.sum(axis=-1)
    total = np.where(defined, figures, 0.0).sum(axis=-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
