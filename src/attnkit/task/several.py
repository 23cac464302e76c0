"""Several tasks in one: each row belongs to one of them, and the logits of all stand side by side."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.task.base import Prediction, Selection, Task
from attnkit.task.metrics import Measure

Combine = Callable[[dict[int, Tensor], dict[int, int]], Tensor]


def mean_over_rows(losses: dict[int, Tensor], rows: dict[int, int]) -> Tensor:
    """L = sum over tasks k of n_k / n L_k, with L_k the mean loss of the n_k rows of k among the n of a batch."""
    total = sum(rows.values())
    return torch.stack([loss * (rows[k] / total) for k, loss in losses.items()]).sum()


@dataclass(frozen=True)
class Several:
    """Task k reads the columns of `span(k)` of logits (B, sum of outputs); the first task is the main one.

    Targets are float64 (B, 1 + W): the number of the row's task, then its target there, with W the widest. Checkpoints
    are chosen, and measures taken, by the rows of the main task. While a gradient is asked for, `combine` adds the
    losses of the tasks that a batch holds; elsewhere it is the mean over rows.
    """

    names: tuple[str, ...]
    tasks: tuple[Task, ...]
    combine: Combine = field(default=mean_over_rows, compare=False)

    @property
    def kind(self) -> str:
        """Name the kind of label."""
        return "several"

    @property
    def classes(self) -> tuple[str, ...]:
        """Give the classes of the main task."""
        return self.tasks[0].classes

    @property
    def outputs(self) -> int:
        """Give the width of the logits of all tasks."""
        return sum(task.outputs for task in self.tasks)

    @property
    def select(self) -> Selection:
        """Choose checkpoints by the measure of the main task."""
        return self.tasks[0].select

    def span(self, number: int) -> slice:
        """The columns of the logits that belong to a task."""
        start = sum(task.outputs for task in self.tasks[:number])
        return slice(start, start + self.tasks[number].outputs)

    def fitted(self, train: Sequence[Example]) -> "Several":
        """Give the task itself: each of its tasks was fitted on rows of its own."""
        return self

    def targets(self, examples: Sequence[Example]) -> Tensor:
        """Give the targets of rows of the main task."""
        return self.held(0, self.tasks[0].targets(examples))

    def held(self, number: int, targets: Tensor) -> Tensor:
        """The targets of rows of task `number`, (B,) or (B, C), as float64 (B, 1 + W)."""
        columns = targets.double().reshape(len(targets), -1)
        widest = max(task.outputs if task.kind == "multi" else 1 for task in self.tasks)
        found = torch.zeros(len(targets), 1 + widest, dtype=torch.float64)
        found[:, 0] = number
        found[:, 1 : 1 + columns.shape[1]] = columns
        return found

    def rows_of(self, number: int, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and targets of the rows of one task, in its own form."""
        mine = targets[:, 0] == number
        task, columns = self.tasks[number], targets[mine, 1:]
        if task.kind == "single":
            own = columns[:, 0].long()
        elif task.kind == "multi":
            own = columns[:, : task.outputs].float()
        else:
            own = columns[:, 0].float()
        return logits[mine][:, self.span(number)], own

    def class_weights(self, targets: Tensor) -> Tensor:
        """Give the weights of the classes of all tasks side by side.

        Raises: UsageError where one of them has no classes.
        """
        blank = targets.new_zeros(len(targets), self.outputs)
        each = [task.class_weights(self.rows_of(k, blank, targets)[1]) for k, task in enumerate(self.tasks)]
        return torch.cat([weights.double() for weights in each])

    def loss(
        self, logits: Tensor, targets: Tensor, class_weights: Tensor | None = None, label_smoothing: float = 0.0
    ) -> Tensor:
        """Give the losses of the tasks that the batch holds, added as `combine` says.

        Raises: UsageError where a task cannot be weighed or smoothed.
        """
        losses, rows = {}, {}
        for k, task in enumerate(self.tasks):
            mine, own = self.rows_of(k, logits, targets)
            if len(own):
                weights = None if class_weights is None else class_weights[self.span(k)]
                losses[k], rows[k] = task.loss(mine, own, weights, label_smoothing), len(own)
        return (self.combine if logits.requires_grad else mean_over_rows)(losses, rows)

    def predict(self, logits: Tensor) -> list[Prediction]:
        """Predict the main task from each row of logits."""
        return self.tasks[0].predict(logits[:, self.span(0)])

    def measure(
        self, logits: Tensor, targets: Tensor, generator: np.random.Generator | None = None
    ) -> dict[str, Measure]:
        """Measure the rows of the main task."""
        return self.tasks[0].measure(*self.rows_of(0, logits, targets), generator)

    def selection_value(self, logits: Tensor, targets: Tensor) -> float:
        """Give the value of the main task's measure on its rows."""
        return self.tasks[0].selection_value(*self.rows_of(0, logits, targets))

    def to_dict(self) -> dict[str, object]:
        """Refuse: a saved model holds each task by itself.

        Raises: UsageError always.
        """
        raise UsageError("Several tasks are saved one by one, with their names; ask one of them for its record.")
