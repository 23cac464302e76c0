"""Prequential figures: every row is predicted before it is learned from, by the learner and by the frozen model."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnkit.task.base import Task
from attnkit.task.metrics.bootstrap import affordable_resamples, interval, row_counts

_SLOW_RESAMPLES = 200


@dataclass
class Prequential:
    """Logits of both models on the rows met so far, and their targets.

    Source: Dawid 1984, Statistical theory: the prequential approach; Gama, Sebastião and Rodrigues 2013.
    """

    task: Task
    learned: list[Tensor] = field(default_factory=list)
    frozen: list[Tensor] = field(default_factory=list)
    targets: list[Tensor] = field(default_factory=list)

    def add(self, learned_BC: Tensor, frozen_BC: Tensor, targets: Tensor) -> None:
        """Count rows that neither model had learned from."""
        self.learned.append(learned_BC)
        self.frozen.append(frozen_BC)
        self.targets.append(targets)

    def __len__(self) -> int:
        return sum(len(one) for one in self.targets)

    def figures(self) -> dict[str, Any]:
        """The selection measure of both over all rows with intervals, and their paired difference with its own."""
        name, n = self.task.select.measure, len(self)
        if not n:
            return {"measure": name, "n": 0}
        learned, frozen, targets = torch.cat(self.learned), torch.cat(self.frozen), torch.cat(self.targets)
        values = {
            "learned": self.task.selection_value(learned, targets),
            "frozen": self.task.selection_value(frozen, targets),
        }
        gap = values["learned"] - values["frozen"]
        resamples = min(_SLOW_RESAMPLES, affordable_resamples(_SLOW_RESAMPLES, n))
        drawn: list[tuple[float, float]] = []
        for counts_RN in row_counts(n, resamples, np.random.default_rng(0)):
            for counts_N in counts_RN:
                picked = torch.from_numpy(np.repeat(np.arange(n), counts_N.astype(np.int64)))
                drawn.append(
                    (
                        self.task.selection_value(learned[picked], targets[picked]),
                        self.task.selection_value(frozen[picked], targets[picked]),
                    )
                )
        both = np.array(drawn)
        found: dict[str, Any] = {"measure": name, "n": n}
        for place, (model, value) in enumerate(values.items()):
            low, high = interval(value, both[:, place])
            found[model] = {"value": value, "low": low, "high": high}
        low, high = interval(gap, both[:, 0] - both[:, 1])
        found["difference"] = {"value": gap, "low": low, "high": high}
        return found
