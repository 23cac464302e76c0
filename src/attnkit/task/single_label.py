"""One class for each text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.data.examples import Example
from attnkit.task.base import Prediction, Selection, checked, checked_classes, checked_smoothing, misfit
from attnkit.task.metrics import Confusion, Measure, class_measures


@dataclass(frozen=True)
class SingleLabel:
    """Predict exactly one of C classes; logits (B, C), targets (B,) of class indices.

    Raises: UsageError where there are fewer than two classes or one stands twice.
    """

    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", checked_classes(self.classes, fewest=2))

    @property
    def kind(self) -> str:
        """Name the kind of label."""
        return "single"

    @property
    def outputs(self) -> int:
        """Give the width of the logits: C."""
        return len(self.classes)

    @property
    def select(self) -> Selection:
        """Choose checkpoints by accuracy."""
        return Selection("accuracy", higher_is_better=True)

    def fitted(self, train: Sequence[Example]) -> "SingleLabel":
        """Give the task itself: it learns nothing from labels."""
        return self

    def targets(self, examples: Sequence[Example]) -> Tensor:
        """Give the class index of each example, int64 (B,).

        Raises: UsageError where a label is missing or is none of the classes.
        """
        place = {name: at for at, name in enumerate(self.classes)}
        for example in examples:
            if not isinstance(example.label, str) or example.label not in place:
                raise misfit(example, f"one of {_listed(self.classes)}")
        return torch.tensor([place[str(example.label)] for example in examples], dtype=torch.int64)

    def class_weights(self, targets: Tensor) -> Tensor:
        """Give n / (C n_c) for each class c, (C,): the mean weight of a row is 1; a class without rows gets 1."""
        counts = torch.bincount(targets, minlength=self.outputs).float()
        return torch.where(counts > 0, len(targets) / (self.outputs * counts.clamp(min=1)), 1.0)

    def loss(
        self, logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Give the mean over rows of -sum_c w_c ((1 - e) [c = y] + e/C) log softmax(logits)_c, e the smoothing.

        Divided by the number of rows, not by the sum of weights: otherwise weights would cancel in a batch of one.

        Raises: UsageError where the smoothing is not in [0, 1).
        Source: Szegedy et al. 2016, section 7.
        """
        smoothing = checked_smoothing(label_smoothing)
        weight = None if class_weights is None else class_weights.to(logits)
        each = F.cross_entropy(logits, targets, weight=weight, reduction="none", label_smoothing=smoothing)
        return each.mean()

    def predict(self, logits: Tensor) -> list[Prediction]:
        """Give the most probable class of each row, the first of equals, and the probability of each class.

        Raises: UsageError where the shape is wrong; FailedError where a value is not finite.
        """
        rows = checked(logits, self.outputs).softmax(1).tolist()
        best = [max(range(self.outputs), key=row.__getitem__) for row in rows]
        return [
            Prediction(self.classes[at], row[at], dict(zip(self.classes, row, strict=True)))
            for row, at in zip(rows, best, strict=True)
        ]

    def measure(
        self, logits: Tensor, targets: Tensor, generator: np.random.Generator | None = None
    ) -> dict[str, Measure]:
        """Measure logits (n, C) against class indices (n,); see `class_measures`.

        Raises: UsageError where there is no row or the shape is wrong; FailedError where a value is not finite.
        """
        probabilities = checked(logits, self.outputs).softmax(1).numpy()
        return class_measures(targets.cpu().numpy(), probabilities, self.classes, generator)

    def selection_value(self, logits: Tensor, targets: Tensor) -> float:
        """Give the accuracy.

        Raises: UsageError where the shape is wrong; FailedError where a value is not finite.
        """
        right = checked(logits, self.outputs).argmax(1) == targets.cpu()
        return float(right.double().mean())

    def confusion(self, logits: Tensor, targets: Tensor) -> Confusion:
        """Count true classes against predicted ones.

        Raises: UsageError where there is no row or the shape is wrong; FailedError where a value is not finite.
        """
        guess = checked(logits, self.outputs).argmax(1)
        return Confusion.of(targets.cpu().numpy(), guess.numpy(), self.classes)

    def to_dict(self) -> dict[str, object]:
        """Give plain data for JSON."""
        return {"kind": self.kind, "classes": list(self.classes)}


def _listed(classes: tuple[str, ...], most: int = 10) -> str:
    shown = ", ".join(repr(name) for name in classes[:most])
    return shown if len(classes) <= most else f"{shown} and {len(classes) - most} more"
