"""The shapes that baselines share: logits from rates, columns of yes and no from classes."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Targets = NDArray[np.int64] | NDArray[np.float64]


class Baseline(Protocol):
    """A model that trains in one call, with settings fixed beforehand.

    `gives_probabilities` is False where the logits rank but are no log-odds.
    """

    name: str
    gives_probabilities: bool

    def fit(self, texts: Sequence[str], targets: Targets, outputs: int) -> "Baseline":
        """Train on texts and their targets: class indices (n,), label columns (n, C) or scores (n,)."""
        ...

    def logits(self, texts: Sequence[str]) -> Floats:
        """Give (n, outputs), for the task that made the targets."""
        ...


def as_columns(targets: Targets, outputs: int) -> NDArray[np.bool_]:
    """Give one yes/no column a class: class indices (n,) or label columns (n, C) to (n, C)."""
    if targets.ndim == 1:
        return targets[:, None] == np.arange(outputs)
    return targets > 0.5


def rate_logits(columns: NDArray[np.bool_], exclusive: bool) -> Floats:
    """Give the logits (C,) whose softmax (exclusive classes) or sigmoid (labels) is the smoothed rate of each class.

    Rates are (n_c + 1) / (n + C) for classes and (n_c + 1) / (n + 2) for labels, so none is 0 or 1.
    """
    n, width = columns.shape
    yes = columns.sum(0) + 1.0
    return np.log(yes / (n + width)) if exclusive else np.log(yes / (n + 2 - yes))
