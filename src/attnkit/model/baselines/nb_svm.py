"""Naive Bayes features under a support vector machine: the linear baseline to beat on long reviews."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.svm import LinearSVC

from attnkit.model.baselines.ngrams import ngrams
from attnkit.model.baselines.targets import Floats, Targets, as_columns, rate_logits


def log_count_ratio(present: csr_matrix, positive: NDArray[np.bool_], alpha: float = 1.0) -> Floats:
    """Give r = log((p / |p|_1) / (q / |q|_1)), p = alpha + sum of positive rows, q = alpha + sum of the others; (V,).

    Source: Wang & Manning 2012, section 2.1.
    """
    p = alpha + np.asarray(present[positive].sum(0)).ravel()
    q = alpha + np.asarray(present[~positive].sum(0)).ravel()
    return np.log(p / p.sum()) - np.log(q / q.sum())


class NbSvm:
    """Linear SVM on r * [n-gram present], drawn toward naive Bayes: (1 - beta) mean|w| (r·f + s) + beta (w·(r f) + b).

    f are the n-grams present, w and b the SVM's weights and offset, and s = log(N+ / N-) is naive Bayes' own offset.
    Words and word pairs, binary; alpha = 1, C = 1, beta = 0.25 as published; squared hinge loss by LIBLINEAR. More than
    two classes, and label sets, are taken one against the rest. Logits are margins: they rank, and are no log-odds.

    Source: Wang & Manning 2012, sections 2.2 to 2.4 and 3.1.
    """

    name = "nb_svm"
    gives_probabilities = False

    def __init__(self, alpha: float = 1.0, c: float = 1.0, beta: float = 0.25) -> None:
        self.alpha = alpha
        self.c = c
        self.beta = beta

    def fit(self, texts: Sequence[str], targets: Targets, outputs: int) -> "NbSvm":
        """Train on texts with class indices (n,) or label columns (n, C)."""
        self._vectorizer = CountVectorizer(analyzer=ngrams, binary=True, dtype=np.float64)
        present = self._vectorizer.fit_transform(texts)
        columns = as_columns(targets, outputs)
        exclusive = targets.ndim == 1
        self._two = exclusive and outputs == 2
        # Two classes are one problem: the second against the first.
        problems = [1] if self._two else list(range(outputs))
        self._weights = np.zeros((present.shape[1], len(problems)))
        self._offsets = np.zeros(len(problems))
        rates = rate_logits(columns, exclusive=False)
        for at, c in enumerate(problems):
            positive = columns[:, c]
            if positive.all() or not positive.any():
                self._offsets[at] = rates[c]
            else:
                self._weights[:, at], self._offsets[at] = self._trained(present, positive)
        return self

    def logits(self, texts: Sequence[str]) -> Floats:
        """Give the margin of each class, (n, C)."""
        margins = self._vectorizer.transform(texts) @ self._weights + self._offsets
        return np.concatenate([-margins / 2, margins / 2], axis=1) if self._two else margins

    def _trained(self, present: csr_matrix, positive: NDArray[np.bool_]) -> tuple[Floats, float]:
        ratio = log_count_ratio(present, positive, self.alpha)
        features = csr_matrix(present.multiply(ratio))
        machine = LinearSVC(C=self.c, random_state=0, max_iter=10_000).fit(features, positive)
        weights = machine.coef_[0]
        # The offset must shrink with the weights: left whole it counts four times over (0.9 points of accuracy).
        bayes = (1 - self.beta) * np.abs(weights).mean()
        offset = bayes * np.log(positive.sum() / (~positive).sum()) + self.beta * machine.intercept_[0]
        return (bayes + self.beta * weights) * ratio, float(offset)
