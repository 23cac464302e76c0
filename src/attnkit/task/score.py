"""A graded score for each text."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.task.base import Prediction, Selection, checked, misfit
from attnkit.task.metrics import Measure, score_measures


@dataclass(frozen=True)
class Score:
    """Predict a number; logits (B, 1) and targets (B,) are standardized: (score - mean) / deviation.

    Mean and deviation are those of the training labels (`fitted`); predictions and measures are in the label's own
    units.

    Raises: UsageError where mean or deviation is not finite or the deviation is not positive.
    """

    mean: float = 0.0
    deviation: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.deviation) and self.deviation > 0):
            raise UsageError(
                f"Scores need a finite mean and a positive deviation, not {self.mean} and {self.deviation}."
            )

    @property
    def kind(self) -> str:
        """Name the kind of label."""
        return "score"

    @property
    def classes(self) -> tuple[str, ...]:
        """Give no classes: a score has none."""
        return ()

    @property
    def outputs(self) -> int:
        """Give the width of the logits: 1."""
        return 1

    @property
    def select(self) -> Selection:
        """Choose checkpoints by the root mean squared error, lower being better."""
        return Selection("rmse", higher_is_better=False)

    def fitted(self, train: Sequence[Example]) -> "Score":
        """Give the task with the mean and the deviation of the training labels; constant labels get deviation 1.

        Raises: UsageError where there is no example or a label is not a finite number.
        """
        scores = np.array(_scores(train))
        if scores.size == 0:
            raise UsageError("There is no training row to fit the scale of the scores on; give at least one.")
        # Equal numbers can have a deviation of 1e-17 by rounding, so the range decides what is constant.
        deviation = float(scores.std()) if np.ptp(scores) > 0 else 1.0
        return Score(float(scores.mean()), deviation)

    def targets(self, examples: Sequence[Example]) -> Tensor:
        """Give each example's standardized score, float32 (B,).

        Raises: UsageError where a label is not a finite number.
        """
        exact = torch.tensor(_scores(examples), dtype=torch.float64)
        return ((exact - self.mean) / self.deviation).float()

    def class_weights(self, targets: Tensor) -> Tensor:
        """Refuse: scores have no classes.

        Raises: UsageError always.
        """
        raise UsageError("Class weights were asked for, but the label is a score; leave class weights out.")

    def loss(
        self, logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Give the mean over rows of (logit - target)^2.

        Raises: UsageError where class weights or label smoothing are given, or the shapes do not meet.
        """
        if class_weights is not None or label_smoothing:
            raise UsageError(
                "Class weights and label smoothing need classes, but the label is a score; leave them out."
            )
        if logits.shape != (len(targets), 1):
            raise UsageError(f"This task takes logits of shape ({len(targets)}, 1) and got {tuple(logits.shape)}.")
        return (logits[:, 0] - targets.to(logits)).square().mean()

    def predict(self, logits: Tensor) -> list[Prediction]:
        """Give the score of each row in the label's own units.

        Raises: UsageError where the shape is wrong; FailedError where a value is not finite.
        """
        return [Prediction(score, None, {}) for score in self._unscaled(checked(logits, 1)[:, 0]).tolist()]

    def measure(
        self, logits: Tensor, targets: Tensor, generator: np.random.Generator | None = None
    ) -> dict[str, Measure]:
        """Measure logits (n, 1) against standardized targets (n,), in the label's own units; see `score_measures`.

        Raises: UsageError where there is no row or the shape is wrong; FailedError where a value is not finite.
        """
        guess = self._unscaled(checked(logits, 1)[:, 0])
        return score_measures(self._unscaled(targets.cpu().double()).numpy(), guess.numpy(), generator)

    def selection_value(self, logits: Tensor, targets: Tensor) -> float:
        """Give the root mean squared error in the label's own units.

        Raises: UsageError where the shape is wrong; FailedError where a value is not finite.
        """
        error = checked(logits, 1)[:, 0] - targets.cpu().double()
        return float(error.square().mean().sqrt()) * self.deviation

    def to_dict(self) -> dict[str, object]:
        """Give plain data for JSON."""
        return {"kind": self.kind, "mean": self.mean, "deviation": self.deviation}

    def _unscaled(self, standardized: Tensor) -> Tensor:
        return standardized * self.deviation + self.mean


def _scores(examples: Sequence[Example]) -> list[float]:
    scores = []
    for example in examples:
        label = example.label
        if isinstance(label, bool) or not isinstance(label, int | float) or not math.isfinite(label):
            raise misfit(example, "a finite number for each row")
        scores.append(float(label))
    return scores
