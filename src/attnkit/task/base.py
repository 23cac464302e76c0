"""What every task offers: targets, a loss, predictions and measures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Protocol, Self

import numpy as np
from torch import Tensor

from attnkit.data.examples import Example
from attnkit.errors import FailedError, UsageError
from attnkit.task.metrics import Measure


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one text: the label (a class, a set of classes or a score) and how sure it is.

    `probability` is that of the predicted class, and None where the label is a set or a score; `probabilities` has one
    entry a class, and none for scores.
    """

    label: str | tuple[str, ...] | float
    probability: float | None
    probabilities: dict[str, float]

    def to_dict(self) -> dict[str, object]:
        """Give plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Selection:
    """The measure by which the best checkpoint is chosen, and its direction."""

    measure: str
    higher_is_better: bool

    def better(self, value: float, best: float | None) -> bool:
        """Tell whether `value` beats `best`; anything beats None, and an equal value does not."""
        return best is None or (value > best if self.higher_is_better else value < best)


class Task(Protocol):
    """What is predicted from a text and how well: plain settings, no weights.

    `kind` is the schema's ("single", "multi" or "score"); logits are (B, outputs).
    """

    @property
    def kind(self) -> str:
        """Name the kind of label."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Name the classes, in the order of the outputs; none for scores."""
        ...

    @property
    def outputs(self) -> int:
        """Give the width of the logits."""
        ...

    @property
    def select(self) -> Selection:
        """Say which measure chooses the best checkpoint."""
        ...

    def fitted(self, train: Sequence[Example]) -> Self:
        """Give the task with whatever it must learn from the training labels (the scale of scores)."""
        ...

    def targets(self, examples: Sequence[Example]) -> Tensor:
        """Turn labels into the tensor that `loss` and `measure` take."""
        ...

    def class_weights(self, targets: Tensor) -> Tensor:
        """Give weights (C,) under which rare classes count as much as frequent ones."""
        ...

    def loss(
        self, logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Give the mean loss over the rows of a batch, differentiable in logits."""
        ...

    def predict(self, logits: Tensor) -> list[Prediction]:
        """Turn each row of logits into a prediction, whatever its batch mates."""
        ...

    def measure(
        self, logits: Tensor, targets: Tensor, generator: np.random.Generator | None = None
    ) -> dict[str, Measure]:
        """Measure predictions against targets, with intervals from `generator` (None: seeded with 0)."""
        ...

    def selection_value(self, logits: Tensor, targets: Tensor) -> float:
        """Give the value of `select.measure` alone, without its interval."""
        ...

    def to_dict(self) -> dict[str, object]:
        """Give plain data for JSON; `task_from_dict` reads it."""
        ...


def checked(logits: Tensor, outputs: int) -> Tensor:
    """Give logits (B, outputs) as float64 on the CPU.

    Raises: UsageError where the shape is wrong; FailedError where a value is not finite.
    """
    if logits.ndim != 2 or logits.shape[1] != outputs:
        raise UsageError(
            f"This task takes logits of shape (rows, {outputs}) and got {tuple(logits.shape)}; "
            f"give the model {outputs} outputs."
        )
    exact = logits.detach().cpu().double()
    finite = exact.isfinite()
    if not finite.all():
        row, output = (~finite).nonzero()[0].tolist()
        raise FailedError(
            f"The model's output is not finite: row {row} holds {exact[row, output].item()} in output {output} "
            f"({int((~finite).any(1).sum())} of {len(exact)} rows are affected); "
            "lower the learning rate or look for extreme inputs."
        )
    return exact


def checked_smoothing(label_smoothing: float) -> float:
    """Give the smoothing itself.

    Raises: UsageError where it is not in [0, 1).
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise UsageError(f"Label smoothing must be at least 0 and below 1, not {label_smoothing}.")
    return label_smoothing


def checked_classes(classes: Sequence[str], fewest: int) -> tuple[str, ...]:
    """Give the classes as a tuple.

    Raises: UsageError where there are too few of them or one stands twice.
    """
    if len(classes) < fewest or len(set(classes)) < len(classes):
        raise UsageError(
            f"A task needs at least {fewest} different classes and got {list(classes)}; check the label column."
        )
    return tuple(classes)


def misfit(example: Example, wanted: str) -> UsageError:
    """Say which row has a label that the task cannot take."""
    return UsageError(f"{example.place} has the label {example.label!r}; this task takes {wanted}.")
