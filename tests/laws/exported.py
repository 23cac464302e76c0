"""An operator as a serving program would call it, and inputs of several sizes for it."""

import torch
from torch import Tensor, nn
from torch.export import Dim

from attnkit.attention.base import Attention
from attnkit.attention.laws.subject import random_params
from attnkit.attention.part import Dims
from attnkit.attention.where import Where
from attnkit.kernels import attend

DIMS = Dims(heads=2, width=8, value_width=6)
NAMES = ("q", "k", "v", "keep", "document")
TRACED = (3, 5, 7)
# Linformer, location and learned positions are built for at most 512 keys, and so every line is asked for that many.
OTHERS = [(2, 9, 4), (4, 12, 12), (1, 1, 6), (1, 3, 1), (2, 40, 90)]


class Mixed(nn.Module):
    """An operator around tensors that are all arguments: mixing by itself, or on a kernel where one is named."""

    def __init__(self, spec: Attention, kernel: str | None = None) -> None:
        super().__init__()
        self.spec, self.kernel = spec, kernel
        generator = torch.Generator().manual_seed(0)
        drawn = random_params(spec, DIMS, generator, torch.float32)
        self.names = list(drawn)
        self.values = nn.ParameterList([nn.Parameter(value) for value in drawn.values()])

    def forward(self, q: Tensor, k: Tensor, v: Tensor, keep: Tensor, document: Tensor) -> Tensor:
        T, S = q.shape[2], k.shape[2]
        where = Where.of(T, S, keep=keep, query_document=torch.zeros_like(q[:, 0, :, 0]).long(), key_document=document)
        params = dict(zip(self.names, self.values, strict=True))
        state = self.spec.matrix(q.roll(1, -1), k.flip(-1), where, params) if self.spec.needs_state else None
        if self.kernel is None:
            return self.spec.mix(q, k, v, where, params, state)
        return attend(q, k, v, self.spec, where=where, params=params, state=state, kernel=self.kernel)


def inputs(batch: int, T: int, S: int) -> tuple[Tensor, ...]:
    """Normal tensors; the first item sees nothing at all, the others have holes."""
    generator = torch.Generator().manual_seed(batch + T + S)
    q = torch.randn(batch, 2, T, 8, generator=generator)
    k, v = torch.randn(batch, 2, S, 8, generator=generator), torch.randn(batch, 2, S, 6, generator=generator)
    keep = torch.rand(batch, S, generator=generator) < 0.7
    keep[0] = batch == 1
    document = (torch.arange(S) // 6).expand(batch, S).contiguous()
    return q, k, v, keep, document


def open_sizes() -> tuple[dict[int, Dim], ...]:
    """Batch, queries and keys of every input, left open."""
    batch, queries, keys = Dim("batch", min=1), Dim("queries", min=1), Dim("keys", min=1, max=512)
    return ({0: batch, 2: queries}, {0: batch, 2: keys}, {0: batch, 2: keys}, {0: batch, 1: keys}, {0: batch, 1: keys})
