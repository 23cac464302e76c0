"""Prequential figures: every row is predicted before it is learned from, by the learner and by the frozen model."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnkit.data.examples import Example
from attnkit.task.base import Task
from attnkit.task.metrics.bootstrap import interval
from attnkit.task.resampled import resampled
from attnkit.task.score import Score


@dataclass
class Prequential:
    """Logits of both models on the rows met so far.

    Source: Dawid 1984, Statistical theory: the prequential approach; Gama, Sebastião and Rodrigues 2013.
    """

    task: Task
    rows: list[Example] = field(default_factory=list)
    learned: list[Tensor] = field(default_factory=list)
    frozen: list[Tensor] = field(default_factory=list)

    def add(self, rows: Sequence[Example], learned_BC: Tensor, frozen_BC: Tensor) -> None:
        """Count rows that neither model had learned from."""
        self.rows += rows
        self.learned.append(learned_BC)
        self.frozen.append(frozen_BC)

    def forget(self, most: int) -> None:
        """Keep the latest rows alone, `most` of them or a few more."""
        while len(self.rows) - len(self.learned[0]) >= most:
            self.rows = self.rows[len(self.learned[0]) :]
            self.learned, self.frozen = self.learned[1:], self.frozen[1:]

    def figures(self) -> dict[str, Any]:
        """The selection measure of both over all rows with intervals, and their paired difference with its own."""
        found: dict[str, Any] = {"measure": self.task.select.measure, "n": len(self.rows)}
        if not self.rows:
            return found
        outputs = [self._in_units(torch.cat(held)) for held in (self.learned, self.frozen)]
        (learned, frozen), drawn = resampled(self.task, self.rows, outputs, np.random.default_rng(0))
        for name, value, column in (
            ("learned", learned, drawn[:, 0]),
            ("frozen", frozen, drawn[:, 1]),
            ("difference", learned - frozen, drawn[:, 0] - drawn[:, 1]),
        ):
            low, high = interval(float(value), column)
            found[name] = {"value": float(value), "low": low, "high": high}
        return found

    def _in_units(self, logits: Tensor) -> Tensor:
        task = self.task
        return logits * task.deviation + task.mean if isinstance(task, Score) else logits
