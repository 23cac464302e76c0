"""One update of the weights: the rows of a batch, piece by piece, to a gradient and a step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnkit.model.nonfinite import first_bad_layer
from attnkit.run.checkpoint import random_state, set_random_state
from attnkit.run.recipe import Recipe
from attnkit.train.objective import Batch, Objective
from attnkit.train.optimizers import make_optimizer
from attnkit.train.preprocessing import Ids, Preprocessing


@dataclass(frozen=True)
class Rows:
    """Encoded texts with their targets and the places (file:line) they came from."""

    items: Sequence[Ids]
    targets: Tensor
    places: Sequence[str]

    def __len__(self) -> int:
        return len(self.items)


class NotFiniteError(Exception):
    """A loss or gradient is not finite: `what` it is, the row `numbers` of its batch, and `where` in the model."""

    def __init__(self, what: str, numbers: Sequence[int], where: str) -> None:
        super().__init__(what)
        self.what, self.numbers, self.where = what, numbers, where


class Update:
    """Moves `model` by the gradient of `objective` on one batch.

    A batch of B rows may be cut into `accumulate` pieces. Each piece then draws its dropout from a stream of its own,
    named by (seed, step, number of the piece), so that it does not matter which process computes it, or when.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, prepare: Preprocessing, train: Rows, recipe: Recipe
    ) -> None:
        self.model, self.objective, self.prepare, self.train = model, objective, prepare, train
        self.settings = recipe.train
        self.optimizer = make_optimizer(model, recipe)
        # Only what was settled on packs: a run that was begun before there was a choice goes on as it began.
        self.packs = self.settings.batches == "packed"

    def __call__(self, numbers: Sequence[int], step: int, rate: float) -> float:
        """Take step number `step` at learning rate `rate` on the rows `numbers`, and give their mean loss.

        Raises: NotFiniteError where the loss or a gradient is not finite; the weights are then as before.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("rate_factor", 1.0)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        pieces = cut(numbers, self.settings.accumulate)
        value = 0.0
        for number, piece in enumerate(pieces):
            if len(pieces) > 1:
                torch.manual_seed(stream(self.settings.seed, step, number))
            value += self._backward(piece, len(piece) / len(numbers))
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm or math.inf))
        if not math.isfinite(norm):
            bad = [n for n, p in self.model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
            where = f"the gradients concerned are {', '.join(bad[:3])}"
            raise NotFiniteError("a gradient is not finite", numbers, where)
        self.optimizer.step()
        return value

    def _backward(self, numbers: Sequence[int], share: float) -> float:
        """Add `share` of the gradient of the mean loss over the rows `numbers`, and give that part of the loss."""
        before = random_state()
        batch = self.batch(numbers)
        with self.precision():
            loss = self.objective(self.model, batch)
        value = float(loss.detach())
        if not math.isfinite(value):
            set_random_state(before)
            with self.precision():
                where = first_bad_layer(self.model, *batch.inputs)
            raise NotFiniteError(f"the loss is {value}", numbers, where)
        (loss * share).backward()
        return value * share

    def batch(self, numbers: Sequence[int]) -> Batch:
        """The rows `numbers` of the training split as a batch."""
        gather = self.prepare.pack if self.packs else self.prepare.collate
        return Batch(gather([self.train.items[number] for number in numbers]), self.train.targets[list(numbers)])

    def precision(self) -> torch.autocast:
        """The autocast of a training step."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.settings.precision == "bfloat16")


def cut(numbers: Sequence[int], pieces: int) -> list[Sequence[int]]:
    """`numbers` dealt out to at most `pieces` pieces, none of them empty, as like one another as can be."""
    return [numbers[start::pieces] for start in range(min(pieces, len(numbers)))]


def stream(seed: int, step: int, piece: int) -> int:
    """The seed of the random numbers of one piece of one step."""
    return (seed * 1_000_003 + step) * 4_099 + piece
