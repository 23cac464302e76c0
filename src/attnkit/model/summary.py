"""Many positions to one vector: an attention pooling, with plain summaries beside it where asked."""

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.kernels.packed import Pieces
from attnkit.layers import AttentionPooling


class Summary(nn.Module):
    """s = [attention pooling(x) ; mean(x) ; max(x) ; x_1], over real positions alone; nothing real gives zeros.

    `real` is keep_BS of a padded batch, or the Pieces of a packed one, x (1, N, M).
    """

    def __init__(self, width: int, spec: Attention, *, queries: int = 1, beside: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.pooling = AttentionPooling(width, spec, queries=queries)
        self.beside = beside
        self.width = width * (queries + len(beside))

    def forward(self, x_BSM: Tensor, real: Tensor | Pieces) -> Tensor:
        return self._of_packed(x_BSM, real) if isinstance(real, Pieces) else self._of_padded(x_BSM, real)

    def _of_packed(self, x_1NM: Tensor, pieces: Pieces) -> Tensor:
        parts = [self.pooling(x_1NM, pieces=pieces).flatten(1)]
        runs = pieces.cut(x_1NM) if self.beside else []
        if "mean" in self.beside:
            parts.append(torch.cat([x.sum(1) / max(1, x.shape[1]) for x in runs]))
        if "max" in self.beside:
            parts.append(torch.cat([x.amax(1) if x.shape[1] else x.sum(1) for x in runs]))
        if "first" in self.beside:
            parts.append(torch.cat([x[:, :1].sum(1) for x in runs]))
        return torch.cat(parts, -1)

    def _of_padded(self, x_BSM: Tensor, keep_BS: Tensor) -> Tensor:
        parts = [self.pooling(x_BSM, keep=keep_BS).flatten(1)]
        keep_BS1 = keep_BS.unsqueeze(-1)
        if "mean" in self.beside:
            parts.append((x_BSM * keep_BS1).sum(1) / keep_BS1.sum(1).clamp(min=1))
        if "max" in self.beside:
            lowest = torch.finfo(x_BSM.dtype).min
            parts.append(x_BSM.masked_fill(~keep_BS1, lowest).amax(1) * keep_BS.any(1, keepdim=True))
        if "first" in self.beside:
            parts.append((x_BSM * keep_BS1)[:, 0])
        return torch.cat(parts, -1)
