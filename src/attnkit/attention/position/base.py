"""Position: how where a token stands enters the score."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.part import Params, Part


@dataclass(frozen=True)
class Position(Part):
    """Either turns queries and keys before they are scored, or adds a bias to the scores, or both."""

    def turn(self, x_BHLD: Tensor, position_BL: Tensor, params: Params) -> Tensor:
        """Queries or keys with their position in them; position_BL is (L,) or (B, L)."""
        return x_BHLD

    def bias(self, i: Tensor, j: Tensor, params: Params, heads: int, dtype: torch.dtype) -> Tensor | None:
        """What is added to the scores, broadcastable to (B, H, T, S); i (B|1, 1, T, 1), j (B|1, 1, 1, S).

        `heads` is H and `dtype` that of the scores, for a rule that differs by head and learns nothing.
        """
        return None


@dataclass(frozen=True)
class DistanceBias(Position):
    """A position that adds f_h(j - i) to the scores and does nothing else: 2 L numbers a head say all of it."""

    def by_distance(self, distance: Tensor, params: Params, heads: int, dtype: torch.dtype) -> Tensor:
        """f_h at each of the integers j - i, as (H, *distance.shape) in `dtype`."""
        raise NotImplementedError(f"{type(self).__name__} gives no bias by distance")

    def bias(self, i: Tensor, j: Tensor, params: Params, heads: int, dtype: torch.dtype) -> Tensor:
        """(B or 1, H, T, S)."""
        return self.by_distance((j - i)[:, 0], params, heads, dtype).transpose(0, 1)
