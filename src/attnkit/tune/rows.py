"""What a trial said of each row it was measured on, kept so that trials are compared row by row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.errors import UsageError
from attnkit.files import write_bytes
from attnkit.run.checkpoint import read_tensors
from attnkit.task.base import Task
from attnkit.task.score import Score
from attnkit.task.single_label import SingleLabel

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Logits (S, n, C) of S trainings for n rows, in units of the labels, and the targets (n, ...) of the rows."""

    logits: Tensor
    targets: Tensor

    def figure(self, task: Task, rows: NDArray[np.int64] | None = None) -> float:
        """The task's selection measure over `rows` (all where None), as the mean over the trainings."""
        logits, targets = self.logits, self.targets
        if rows is not None:
            at = torch.from_numpy(rows)
            logits, targets = logits[:, at], targets[at]
        return float(np.mean([task.selection_value(one, targets) for one in logits]))

    def right(self) -> Floats:
        """Of single labels: the share of the trainings that get each row right, (n,)."""
        return (self.logits.argmax(2) == self.targets).double().mean(0).numpy()


def in_units(task: Task, values: Tensor) -> Tensor:
    """Logits or targets in the units of the labels: scores are standardized by the rows that were trained on."""
    return values * task.deviation + task.mean if isinstance(task, Score) else values


def save_rows(path: Path, rows: Rows) -> None:
    """Write them in one step."""
    path.parent.mkdir(exist_ok=True)
    tensors = {"logits": rows.logits.contiguous(), "targets": rows.targets.contiguous()}
    write_bytes(path, safetensors.torch.save(tensors))


def load_rows(path: Path) -> Rows | None:
    """Read them; None where they are not there, as of a trial from a machine without the folder."""
    try:
        tensors, _ = read_tensors(path)
        return Rows(tensors["logits"], tensors["targets"])
    except (UsageError, KeyError):
        return None


def comparable(all_rows: Sequence[Rows]) -> bool:
    """True where they are about the same rows in the same order."""
    first = all_rows[0]
    return all(torch.equal(rows.targets, first.targets) for rows in all_rows)


def sums_right(task: Task) -> bool:
    """True where the measure is a mean over rows of right or wrong, so that counts suffice to resample it."""
    return isinstance(task, SingleLabel)
