"""Any number of labels for each text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from torch.nn import functional as F

from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.task.base import Prediction, Selection, checked, checked_classes, checked_smoothing, misfit
from attnkit.task.metrics import Measure, label_set_measures, label_set_precision
from attnkit.task.metrics.label_sets import THRESHOLD


@dataclass(frozen=True)
class MultiLabel:
    """Predict each of C labels by itself, from probability 0.5 up; logits (B, C), targets (B, C) of 0 and 1.

    Raises: UsageError where there is no class or one stands twice.
    """

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", checked_classes(self.classes, fewest=1))

    @property
    def kind(self) -> str:
        """Name the kind of label."""
        return "multi"

    @property
    def outputs(self) -> int:
        """Give the width of the logits: C."""
        return len(self.classes)

    @property
    def select(self) -> Selection:
        """Choose checkpoints by mean average precision, which needs no threshold and so moves from the first epoch."""
        return Selection("mean_average_precision", higher_is_better=True)

    def fitted(self, train: Sequence[Example]) -> "MultiLabel":
        """Give the task itself: it learns nothing from labels."""
        return self

    def targets(self, examples: Sequence[Example]) -> Tensor:
        """Give a row of 0 and 1 for each example, float32 (B, C); an example may have no label at all: ().

        Raises: UsageError where the labels are missing or one is none of the classes.
        """
        place = {name: at for at, name in enumerate(self.classes)}
        targets = torch.zeros(len(examples), self.outputs)
        for row, example in enumerate(examples):
            if not isinstance(example.label, tuple):
                raise misfit(example, "a tuple of class names for each row")
            unknown = [name for name in example.label if name not in place]
            if unknown:
                raise misfit(example, f"known classes only, and {unknown[0]!r} is not among its {self.outputs}")
            for name in example.label:
                targets[row, place[name]] = 1.0
        return targets

    def class_weights(self, targets: Tensor) -> Tensor:
        """Give (n - n_c) / n_c for each label c, (C,): its rows then weigh as much as all others; 1 where n_c is 0."""
        counts = targets.sum(0)
        return torch.where(counts > 0, (len(targets) - counts) / counts.clamp(min=1), 1.0).clamp(min=1e-3)

    def loss(
        self, logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Give the mean over rows and labels of -(w_c t log p + (1 - t) log(1 - p)), t = (1 - e) target + e/2.

        Raises: UsageError where the smoothing is not in [0, 1) or the shapes differ.
        """
        if logits.shape != targets.shape:
            raise UsageError(
                f"Logits of shape {tuple(logits.shape)} meet targets of shape {tuple(targets.shape)}; make them equal."
            )
        smoothing = checked_smoothing(label_smoothing)
        smooth = targets.to(logits) * (1 - smoothing) + smoothing / 2
        weight = None if class_weights is None else class_weights.to(logits)
        return F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weight)

    def predict(self, logits: Tensor) -> list[Prediction]:
        """Give the labels of each row whose probability is at least 0.5, and the probability of each label.

        Raises: UsageError where the shape is wrong; FailedError where a value is not finite.
        """
        predictions = []
        for row in self._probabilities(logits).tolist():
            chosen = tuple(name for name, p in zip(self.classes, row, strict=True) if p >= THRESHOLD)
            predictions.append(Prediction(chosen, None, dict(zip(self.classes, row, strict=True))))
        return predictions

    def measure(
        self, logits: Tensor, targets: Tensor, generator: np.random.Generator | None = None
    ) -> dict[str, Measure]:
        """Measure logits (n, C) against targets (n, C); see `label_set_measures`.

        Raises: UsageError where there is no row or the shape is wrong; FailedError where a value is not finite.
        """
        probabilities = self._probabilities(logits)
        return label_set_measures(targets.cpu().numpy() > 0.5, probabilities, self.classes, generator)

    def selection_value(self, logits: Tensor, targets: Tensor) -> float:
        """Give the mean average precision over the labels that occur.

        Raises: UsageError where the shape is wrong; FailedError where a value is not finite.
        """
        probabilities = self._probabilities(logits)
        return label_set_precision(targets.cpu().numpy() > 0.5, probabilities)

    def to_dict(self) -> dict[str, object]:
        """Give plain data for JSON."""
        return {"kind": self.kind, "classes": list(self.classes)}

    def _probabilities(self, logits: Tensor) -> NDArray[np.float64]:
        # torch's vectorized sigmoid differs in the last bit at the end of an array: a row would depend on its place.
        return expit(checked(logits, self.outputs).numpy())
