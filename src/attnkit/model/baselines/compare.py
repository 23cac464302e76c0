"""Every baseline that fits a task, trained on one set and measured on another."""

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from attnkit.errors import UsageError
from attnkit.model.baselines.majority import Majority, Mean
from attnkit.model.baselines.nb_svm import NbSvm
from attnkit.model.baselines.ngrams import TOKEN, joined
from attnkit.model.baselines.targets import Baseline
from attnkit.model.baselines.tfidf_logistic import TfidfLogistic, TfidfRidge


class LabeledText(Protocol):
    """What is read of an example."""

    @property
    def text(self) -> str:
        """Give the text."""
        ...

    @property
    def pair(self) -> str | None:
        """Give the second text, where texts come in pairs."""
        ...


class MeasuringTask(Protocol):
    """What is asked of a task."""

    @property
    def kind(self) -> str:
        """Name the kind of label: "single", "multi" or "score"."""
        ...

    @property
    def outputs(self) -> int:
        """Give the width of the logits."""
        ...

    def targets(self, examples: Sequence[Any]) -> Tensor:
        """Turn labels into numbers."""
        ...

    def measure(self, logits: Tensor, targets: Tensor, generator: np.random.Generator | None = None) -> dict[str, Any]:
        """Measure logits against targets."""
        ...


@dataclass(frozen=True, slots=True)
class BaselineResult:
    """One line of the baseline table: measures by name, and the seconds for training and predicting together.

    `said` is a sentence where the training stopped before it converged, and empty otherwise.
    """

    name: str
    measures: Mapping[str, Any]
    seconds: float
    said: str = ""


def baselines_for(kind: str) -> tuple[Baseline, ...]:
    """Give the untrained baselines for a kind of label."""
    return (Mean(), TfidfRidge()) if kind == "score" else (Majority(), TfidfLogistic(), NbSvm())


def run_baselines(
    train: Sequence[LabeledText],
    test: Sequence[LabeledText],
    task: MeasuringTask,
    generator: np.random.Generator | None = None,
) -> list[BaselineResult]:
    """Train each baseline on `train` and measure it on `test` as `task` measures a model.

    Settings are fixed beforehand, so nothing is chosen on `test`. A baseline that gives no probabilities has no
    calibration error.

    Raises: UsageError where a label does not fit the task, there is no row to measure or no training text holds a word.
    """
    known, wanted = task.targets(train), task.targets(test)
    texts = [joined([(example.text, example.pair) for example in part]) for part in (train, test)]
    if not any(TOKEN.search(text) for text in texts[0]):
        raise UsageError(f"None of the {len(train)} training texts holds a word; check the text column.")
    results = []
    for baseline in baselines_for(task.kind):
        begun = time.perf_counter()
        converged = _fit(baseline, texts[0], known, task.outputs)
        logits = baseline.logits(texts[1])
        seconds = time.perf_counter() - begun
        measures = task.measure(torch.from_numpy(logits), wanted, generator)
        if not baseline.gives_probabilities:
            measures.pop("calibration_error", None)
        said = "" if converged else f"{baseline.name} stopped before it converged; its figures may be too low"
        results.append(BaselineResult(baseline.name, measures, seconds, said))
    return results


def _fit(baseline: Baseline, texts: Sequence[str], targets: Tensor, outputs: int) -> bool:
    """Train, and tell whether it converged; scikit-learn says so in a warning alone."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ConvergenceWarning)
        baseline.fit(texts, targets.numpy(), outputs)
    others = [one for one in seen if not issubclass(one.category, ConvergenceWarning)]
    for one in others:
        warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    return len(others) == len(seen)
