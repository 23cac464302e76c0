"""Processor time a text of several networks, in turns, so that what slows the machine slows all of them."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from attnkit.train.preprocessing import Ids, Preprocessing

BATCHES = (1, 32)
ROUNDS = 7


@dataclass(frozen=True)
class Timed:
    """A network, and texts as it reads them."""

    network: nn.Module
    prepare: Preprocessing
    items: Sequence[Ids]

    def read(self, batch: int) -> float:
        """Processor milliseconds a text, in batches of so many."""
        begun = time.process_time()
        for start in range(0, len(self.items), batch):
            self.network(*self.prepare.collate(self.items[start : start + batch]))
        return (time.process_time() - begun) * 1000 / len(self.items)


def milliseconds(timed: Sequence[Timed], rounds: int = ROUNDS) -> list[tuple[float, float]]:
    """For each the median over rounds of processor milliseconds a text, in batches of 1 and of 32.

    The same texts for all; one round more comes first, to warm up.
    """
    spent: list[tuple[list[float], list[float]]] = [([], []) for _ in timed]
    with torch.inference_mode():
        for round in range(rounds + 1):
            for one, each in zip(timed, spent, strict=True):
                for batch, values in zip(BATCHES, each, strict=True):
                    value = one.read(batch)
                    if round:
                        values.append(value)
    return [(statistics.median(alone), statistics.median(together)) for alone, together in spent]
