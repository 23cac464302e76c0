"""The guard: rows that a model must not unlearn while it learns from feedback."""

from dataclasses import dataclass

import torch
from torch import nn

from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.task.base import Task
from attnkit.train.evaluation import recorded_rows
from attnkit.train.loop import predict_logits
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.update import Rows


@dataclass(frozen=True)
class Guard:
    """Validation rows of the run, and the figure of the frozen model on them."""

    task: Task
    prepare: Preprocessing
    rows: Rows
    frozen: float

    def figure(self, network: nn.Module) -> float:
        """The selection measure of `network` on the guard rows."""
        return self.task.selection_value(predict_logits(network, self.prepare, self.rows.items), self.rows.targets)

    def fallen(self, figure: float) -> float:
        """How much worse a figure is than the frozen model's; below zero where it is better."""
        gap = self.frozen - figure
        return gap if self.task.select.higher_is_better else -gap


def make_guard(run: Run, network: nn.Module, task: Task, prepare: Preprocessing, most: int, seed: int) -> Guard:
    """A guard of at most `most` validation rows, drawn from `seed`.

    Raises: UsageError where the rows of the run cannot be read again.
    """
    rows = _read(run, "validation", task, prepare, most, seed)
    figure = task.selection_value(predict_logits(network, prepare, rows.items), rows.targets)
    return Guard(task, prepare, rows, figure)


def training_rows(run: Run, task: Task, prepare: Preprocessing, most: int, seed: int) -> Rows:
    """At most `most` training rows of the run, drawn from `seed`, to replay.

    Raises: UsageError where they cannot be read again.
    """
    return _read(run, "train", task, prepare, most, seed)


def encoded(rows: list[Example], task: Task, prepare: Preprocessing) -> Rows:
    """Rows as ids and targets."""
    items = prepare.encode([row.text for row in rows], [row.pair for row in rows])
    return Rows(items, task.targets(rows), [row.place for row in rows])


def _read(run: Run, split: str, task: Task, prepare: Preprocessing, most: int, seed: int) -> Rows:
    try:
        found, _ = recorded_rows(run, split=split)
    except UsageError as error:
        raise UsageError(f"feedback is learned beside the {split} rows of the run, and {error}") from None
    labeled = [row for row in found if row.label is not None and row.text.strip()]
    order = torch.randperm(len(labeled), generator=torch.Generator().manual_seed(seed)).tolist()[:most]
    return encoded([labeled[number] for number in sorted(order)], task, prepare)
