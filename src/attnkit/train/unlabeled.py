"""Texts without labels that training learns from beside the labeled ones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.kernels.packed import Pieces
from attnkit.train.preprocessing import Ids


@dataclass(frozen=True)
class Unlabeled:
    """Encoded texts, and what puts some of them together as a batch."""

    items: Sequence[Ids]
    gather: Callable[[Sequence[Ids]], tuple[Tensor, Tensor | Pieces]]

    def draw(self, count: int) -> tuple[Tensor, Tensor | Pieces]:
        """A batch of `count` texts, the shortest first, drawn with replacement from torch's default generator."""
        numbers = torch.randint(len(self.items), (count,)).tolist()
        return self.gather(sorted((self.items[number] for number in numbers), key=len))
