"""Masks of a piece: one for all its blocks, and what padding hides in each."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from attnkit.attention.part import Params
from attnkit.attention.position.base import DistanceBias
from attnkit.attention.where import Where
from attnkit.kernels.banded.pieces import Piece

NONE = float("-inf")


@dataclass(frozen=True, eq=False)
class Masks:
    """What is added to the scores of a piece: -inf where a pair may not meet, and the bias of its distance."""

    offset: int
    heads: int
    dtype: torch.dtype
    device: torch.device
    keep: Tensor | None = None
    bias: DistanceBias | None = None
    params: Params = field(default_factory=dict)

    def of_pattern(self, piece: Piece) -> Tensor | None:
        """(1, 1 or H, rows, columns) for each block; None where all meet and nothing is added."""
        i = torch.arange(piece.rows, device=self.device)[:, None] * piece.stride + piece.query + self.offset
        j = torch.arange(piece.columns, device=self.device) * piece.stride + piece.key
        where = Where(i[:, 0], j)
        allowed = piece.pattern.allowed(where.i, where.j, where)
        if self.bias is not None:
            bias = self.bias.by_distance(j - i, self.params, self.heads, self.dtype)[None]
            return bias.masked_fill(~allowed, NONE)
        if allowed.all():
            return None
        return torch.zeros(allowed.shape, dtype=self.dtype, device=self.device).masked_fill_(~allowed, NONE)

    def of_item(self, item: int, piece: Piece, mask: Tensor | None) -> Tensor | None:
        """The mask of the pattern with the item's padded keys hidden as well: (blocks, 1 or H, rows, columns)."""
        real = self.real_keys(item, piece)
        if real is None or bool(real.all()):
            return mask
        if mask is None:
            mask = torch.zeros(1, 1, piece.rows, piece.columns, dtype=self.dtype, device=self.device)
        return mask.masked_fill(~real, NONE)

    def real_keys(self, item: int, piece: Piece) -> Tensor | None:
        """True for the real keys of each block, (blocks, 1, 1, columns); None where nothing is padding."""
        if self.keep is None:
            return None
        keep = self.keep[item if self.keep.shape[0] > 1 else 0]
        start = keep.storage_offset() + piece.key * keep.stride(0)
        step, stride = piece.step * keep.stride(0), piece.stride * keep.stride(0)
        return keep.as_strided((piece.count, 1, 1, piece.columns), (step, 0, 0, stride), start)
