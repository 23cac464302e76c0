"""The baselines that do not read the text."""

from collections.abc import Sequence

import numpy as np

from attnkit.model.baselines.targets import Floats, Targets, as_columns, rate_logits


class Majority:
    """Predict the most frequent class (or the labels that most rows have), with the training rates as probabilities."""

    name = "majority"
    gives_probabilities = True

    def fit(self, texts: Sequence[str], targets: Targets, outputs: int) -> "Majority":
        """Count the classes of targets (n,) or (n, C)."""
        self._logits = rate_logits(as_columns(targets, outputs), exclusive=targets.ndim == 1)
        return self

    def logits(self, texts: Sequence[str]) -> Floats:
        """Give the same row for each text, (n, C)."""
        return np.tile(self._logits, (len(texts), 1))


class Mean:
    """Predict the mean score of the training rows."""

    name = "mean"
    gives_probabilities = True

    def fit(self, texts: Sequence[str], targets: Targets, outputs: int) -> "Mean":
        """Average targets (n,)."""
        self._mean = float(np.mean(targets))
        return self

    def logits(self, texts: Sequence[str]) -> Floats:
        """Give the mean for each text, (n, 1)."""
        return np.full((len(texts), 1), self._mean)
