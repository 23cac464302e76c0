"""One update of the weights: the rows of a batch, piece by piece, to a gradient and a step."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnkit.model.nonfinite import first_bad_layer
from attnkit.run.checkpoint import random_state, set_random_state
from attnkit.run.recipe import Recipe
from attnkit.train.altered import Altered
from attnkit.train.lessons import Lessons
from attnkit.train.objective import Batch, Objective
from attnkit.train.optimizers import make_optimizer
from attnkit.train.parallel.pieces import deal, stream
from attnkit.train.parallel.processes import current
from attnkit.train.parallel.sharing import share
from attnkit.train.parallel.whole import whole
from attnkit.train.precision import autocast, make_scaler
from attnkit.train.preprocessing import Ids, Preprocessing
from attnkit.train.unlabeled import Unlabeled

# A scaled gradient that is not finite is the scale's fault down to here, and then the model's.
_LEAST_SCALE = 2.0**-10


@dataclass(frozen=True)
class Rows:
    """Encoded texts with their targets and the places (file:line) they came from.

    Beside them, where the recipe asks for it: noise on the texts, what a teacher says of them, texts without labels.
    """

    items: Sequence[Ids]
    targets: Tensor
    places: Sequence[str]
    altered: Altered | None = None
    lessons: Lessons | None = None
    unlabeled: Unlabeled | None = None

    def __len__(self) -> int:
        return len(self.items)


class NotFiniteError(Exception):
    """A loss or gradient is not finite: `what` it is, the row `numbers` of its batch, and `where` in the model."""

    def __init__(self, what: str, numbers: Sequence[int], where: str) -> None:
        super().__init__(what)
        self.what, self.numbers, self.where = what, numbers, where


@dataclass(frozen=True)
class _Computed:
    """One piece that was computed: its rows, its loss, and the random state before it."""

    rows: Sequence[int]
    batch: Batch
    loss: float
    before: dict[str, Tensor]


class Update:
    """Moves `model` by the gradient of `objective` on one batch.

    A batch of B rows may be cut into `accumulate` pieces, which the processes of a group share. Each piece then draws
    its dropout from a stream of its own, named by (seed, step, number of the piece), so that it does not matter which
    process computes it, or when; the gradient is that of the mean over all rows, whatever the sizes of the pieces.
    """

    def __init__(
        self, model: nn.Module, objective: Objective, prepare: Preprocessing, train: Rows, recipe: Recipe
    ) -> None:
        self.model, self.objective, self.prepare, self.train = model, objective, prepare, train
        self.settings = recipe.train
        self.processes = current()
        # Before the optimizer is made: it moves what a process holds.
        self.sharing = share(model, objective, self.processes, self.settings.sharded)
        self.optimizer = make_optimizer(model, recipe)
        self.scaler = make_scaler(self.settings.precision)
        # Only what was settled on packs: a run that was begun before there was a choice goes on as it began.
        self.packs = self.settings.packs

    def __call__(self, numbers: Sequence[int], step: int, rate: float) -> float:
        """Take step number `step` at learning rate `rate` on the rows `numbers`, and give their mean loss.

        In float16 a step whose scaled gradient overflows is left out, and the scale lowered.

        Raises: NotFiniteError where the loss or a gradient is not finite; the weights are then as before.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("rate_factor", 1.0)
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        value, worst = self._gradient(numbers, step)
        value, bad = self.processes.sums(value, float(not math.isfinite(worst.loss)))
        if bad:
            raise self._loss_error(worst)
        self.scaler.unscale_(self.optimizer)
        norm = float(whole(nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm or math.inf)))
        if not math.isfinite(norm) and not (self.scaler.is_enabled() and self.scaler.get_scale() > _LEAST_SCALE):
            bad_names = [n for n, p in self.model.named_parameters() if p.grad is not None and not _finite(p.grad)]
            where = f"the gradients concerned are {', '.join(bad_names[:3])}"
            raise NotFiniteError("a gradient is not finite", numbers, where)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return value

    def _gradient(self, numbers: Sequence[int], step: int) -> tuple[float, _Computed]:
        """Compute this process's pieces: its part of the mean loss, and the piece of the first loss that is not finite.

        All are computed to the end, since the other processes wait for their gradients.
        """
        pieces, value = deal(numbers, self.settings.accumulate, self.processes), 0.0
        worst: _Computed | None = None
        for place, piece in enumerate(pieces):
            if self.settings.accumulate > 1:
                torch.manual_seed(stream(self.settings.seed, step, piece.number))
            before, batch = random_state(), self.batch(piece.rows, step)
            with self.sharing.piece(last=place == len(pieces) - 1):
                with autocast(self.settings.precision):
                    loss = self.sharing.loss(batch)
                # Gradients are averaged over processes.
                self.scaler.scale(loss * piece.share * self.processes.size).backward()
            done = _Computed(piece.rows, batch, float(loss.detach()), before)
            value += done.loss * piece.share if piece.share else 0.0
            if worst is None or (math.isfinite(worst.loss) and not math.isfinite(done.loss)):
                worst = done
        self.sharing.settled()
        if self.settings.accumulate > 1:
            # Whoever draws next draws the same in every process.
            torch.manual_seed(stream(self.settings.seed, step, self.settings.accumulate))
        assert worst is not None
        return value, worst

    def _loss_error(self, worst: _Computed) -> NotFiniteError:
        """The error of the first process whose loss is not finite; all look, as they may need one another's weights."""
        set_random_state(worst.before)
        with autocast(self.settings.precision):
            where = first_bad_layer(self.model, *worst.batch.inputs)
        told = self.processes.told((worst.loss, list(worst.rows), where))
        loss, rows, where = next(one for one in told if not math.isfinite(one[0]))
        return NotFiniteError(f"the loss is {loss}", rows, where)

    def rehearse(self) -> None:
        """Compute the loss of the longest text and its gradient, and leave all as it was."""
        before = random_state()
        longest = max(range(len(self.train)), key=lambda number: len(self.train.items[number]))
        self.model.train()
        with autocast(self.settings.precision):
            loss = self.objective(self.model, self.batch([longest], 0))
        loss.backward()
        self.optimizer.zero_grad(set_to_none=True)
        set_random_state(before)

    def batch(self, numbers: Sequence[int], step: int) -> Batch:
        """The rows `numbers` of the training split as a batch of this step."""
        gather = self.prepare.pack if self.packs else self.prepare.collate
        items = [self.train.items[number] for number in numbers]
        if self.train.altered is not None:
            items = self.train.altered.items(numbers, step, items)
        return Batch(gather(items), self.train.targets[list(numbers)], tuple(numbers))


def _finite(x: Tensor) -> bool:
    return bool(whole(x).isfinite().all())
