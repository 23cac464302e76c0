"""TF-IDF of words and word pairs under a linear model: logistic regression, or ridge regression for scores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from attnkit.model.baselines.ngrams import ngrams
from attnkit.model.baselines.targets import Floats, Targets, as_columns, rate_logits

# A class that the training rows lack keeps a finite logit.
UNSEEN_LOGIT = -30.0


class TfidfLogistic:
    """Logistic regression on (1 + log count) * idf of 1- and 2-grams; one regression a label for label sets.

    The inverse regularization C = 10 is fixed beforehand.

    Source: Salton & Buckley 1988 (weights).
    """

    name = "tfidf_logistic"
    gives_probabilities = True

    def __init__(self, c: float = 10.0) -> None:
        self.c = c

    def fit(self, texts: Sequence[str], targets: Targets, outputs: int) -> "TfidfLogistic":
        """Train on texts with class indices (n,) or label columns (n, C)."""
        self._vectorizer = TfidfVectorizer(analyzer=ngrams, sublinear_tf=True)
        features = self._vectorizer.fit_transform(texts)
        columns = as_columns(targets, outputs)
        self._rates = rate_logits(columns, exclusive=targets.ndim == 1)
        self._exclusive = targets.ndim == 1
        if self._exclusive:
            seen = np.flatnonzero(columns.any(0))
            self._models = {-1: self._trained(features, targets)} if len(seen) > 1 else {}
        else:
            mixed = np.flatnonzero(columns.any(0) & ~columns.all(0))
            self._models = {int(c): self._trained(features, columns[:, c]) for c in mixed}
        return self

    def logits(self, texts: Sequence[str]) -> Floats:
        """Give (n, C): log-odds of each label, or logits of the classes."""
        features = self._vectorizer.transform(texts)
        logits = np.tile(self._rates, (len(texts), 1))
        if self._exclusive and self._models:
            model = self._models[-1]
            logits[:] = UNSEEN_LOGIT
            logits[:, model.classes_] = model.predict_log_proba(features).clip(min=UNSEEN_LOGIT)
        elif not self._exclusive:
            for c, model in self._models.items():
                logits[:, c] = model.decision_function(features)
        return logits

    def _trained(self, features: csr_matrix, targets: NDArray[Any]) -> LogisticRegression:
        return LogisticRegression(C=self.c, max_iter=1000).fit(features, targets)


class TfidfRidge:
    """Ridge regression with penalty 1 on the same features, for scores."""

    name = "tfidf_ridge"
    gives_probabilities = True

    def fit(self, texts: Sequence[str], targets: Targets, outputs: int) -> "TfidfRidge":
        """Train on texts with scores (n,)."""
        self._vectorizer = TfidfVectorizer(analyzer=ngrams, sublinear_tf=True)
        self._model = Ridge(alpha=1.0).fit(self._vectorizer.fit_transform(texts), targets)
        return self

    def logits(self, texts: Sequence[str]) -> Floats:
        """Give the predicted score of each text, (n, 1)."""
        return self._model.predict(self._vectorizer.transform(texts))[:, None]
