"""The objective: what training makes small, from one batch."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnkit.kernels.packed import Pieces
from attnkit.run.recipe import Recipe
from attnkit.task.base import Task
from attnkit.train.adversarial import METHODS, vat
from attnkit.train.adversarial.words import Words
from attnkit.train.leave_one_out import left_out
from attnkit.train.lessons import Lessons
from attnkit.train.terms.divergence import divergence
from attnkit.train.terms.entropy import attention_entropy
from attnkit.train.terms.hearing import heard
from attnkit.train.terms.imitation import attention_distance, hidden_distance, summarized
from attnkit.train.terms.mixup import mixed_loss
from attnkit.train.terms.weights import size_penalty
from attnkit.train.unlabeled import Unlabeled


@dataclass(frozen=True)
class Batch:
    """What a model is called with, (ids, keep) or (ids, pieces), the targets of its rows in the task's form, and their
    numbers in the training split, where something beside the targets is known of them.
    """

    inputs: tuple[Tensor, Tensor | Pieces]
    targets: Tensor
    numbers: tuple[int, ...] = ()


class Objective:
    """The task's loss of a batch, as the recipe weighs and smooths it, with the terms of [regularize] and [distill].

    With a teacher the loss is (1 - w) of the labels' and w of the divergence from what the teacher says. Adversarial
    losses are of that same sum; penalties and what is imitated inside the network belong to the plain pass alone.
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        targets: Tensor,
        lessons: Lessons | None = None,
        unlabeled: Unlabeled | None = None,
    ) -> None:
        self.task, self.settings, self.distill = task, recipe.regularize, recipe.distill
        self.label_smoothing = recipe.train.label_smoothing
        self.class_weights = task.class_weights(targets) if recipe.train.class_weights else None
        self.lessons, self.unlabeled = lessons, unlabeled

    def __call__(self, model: nn.Module, batch: Batch) -> Tensor:
        """The mean over the rows of `batch`, a scalar that can be differentiated."""
        settings = self.settings
        with left_out(model, batch.targets, self.task):
            if settings.mixup:
                loss = mixed_loss(model, batch.inputs, settings.mixup, lambda z, rows: self._loss(z, batch, rows))
            else:
                loss = self._unmixed(model, batch)
        if settings.l1 or settings.l2:
            loss = loss + size_penalty(model, settings.l1, settings.l2)
        return loss

    def _unmixed(self, model: nn.Module, batch: Batch) -> Tensor:
        if self.settings.adversarial == "none":
            with self._inside(model, batch) as terms:
                logits = _wide(model(*batch.inputs))
            return _with(terms, self._loss(logits, batch))
        words = Words(model, batch.inputs)
        start = words.zeros().requires_grad_()
        with self._inside(model, batch) as terms:
            logits = words.answer(start)
        plain = self._loss(logits, batch)
        against = self._against(model, batch, words, start, logits, plain)
        return _with(terms, plain) + self.settings.adversarial_weight * against

    def _against(
        self, model: nn.Module, batch: Batch, words: Words, start: Tensor, logits: Tensor, plain: Tensor
    ) -> Tensor:
        if self.settings.adversarial != "vat":
            method = METHODS[self.settings.adversarial]
            return method(words, start, plain, lambda z: self._loss(z, batch), self.settings)
        found = vat.loss_of(words, logits, self.task, self.settings)
        if self.unlabeled is None:
            return found
        with left_out(model, None, self.task):
            others = Words(model, self.unlabeled.draw(words.rows))
            with torch.no_grad():
                said = others.answer(others.zeros())
            return (found + vat.loss_of(others, said, self.task, self.settings)) / 2

    def _loss(self, logits: Tensor, batch: Batch, rows: Tensor | None = None) -> Tensor:
        """The loss of logits (B, C) against what is known of the batch, its rows in the order `rows` (B,)."""
        targets = batch.targets if rows is None else batch.targets[rows]
        share = self.distill.distill_weight
        if self.lessons is None or share == 0:
            return self.task.loss(logits, targets, self.class_weights, self.label_smoothing)
        numbers = torch.tensor(batch.numbers)
        said = self.lessons.logits[numbers if rows is None else numbers[rows]].to(logits)
        taught = share * divergence(self.task, said, logits, self.distill.temperature)
        if share == 1:
            return taught
        return (1 - share) * self.task.loss(logits, targets, self.class_weights, self.label_smoothing) + taught

    @contextmanager
    def _inside(self, model: nn.Module, batch: Batch) -> Iterator[list[Callable[[], Tensor]]]:
        """Listens to the plain pass for the terms that read more than logits; each can be called when it is over."""
        settings, distill, lessons = self.settings, self.distill, self.lessons
        terms: list[Callable[[], Tensor]] = []
        with ExitStack() as stack:
            imitates = lessons is not None and distill.attention_weight > 0
            seen = stack.enter_context(heard(model)) if settings.attention_entropy or imitates else []
            if settings.attention_entropy:
                terms.append(lambda: settings.attention_entropy * attention_entropy(seen))
            if lessons is not None and imitates:
                terms.append(lambda: distill.attention_weight * attention_distance(seen, lessons, batch.numbers))
            if lessons is not None and distill.hidden_weight:
                found = stack.enter_context(summarized(model))
                terms.append(lambda: distill.hidden_weight * hidden_distance(model, found, lessons, batch.numbers))
            yield terms


def _with(terms: list[Callable[[], Tensor]], loss: Tensor) -> Tensor:
    for term in terms:
        loss = loss + term()
    return loss


def _wide(logits: Tensor) -> Tensor:
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
