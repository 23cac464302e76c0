"""The objective: what training makes small, from one batch."""

from dataclasses import dataclass

from torch import Tensor, nn

from attnkit.kernels.packed import Pieces
from attnkit.run.recipe import Recipe
from attnkit.task.base import Task


@dataclass(frozen=True)
class Batch:
    """What a model is called with, (ids, keep) or (ids, pieces), and the targets of its rows in the task's form."""

    inputs: tuple[Tensor, Tensor | Pieces]
    targets: Tensor


class Objective:
    """The task's loss of a batch, as the recipe weighs and smooths it."""

    def __init__(self, task: Task, recipe: Recipe, targets: Tensor) -> None:
        self.task = task
        self.label_smoothing = recipe.train.label_smoothing
        self.class_weights = task.class_weights(targets) if recipe.train.class_weights else None

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean over the rows of `batch`, a scalar that can be differentiated."""
        logits = model(*batch.inputs)
        return self.task.loss(logits.float(), batch.targets, self.class_weights, self.label_smoothing)
