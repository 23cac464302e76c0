"""Many positions to one vector: an attention pooling, with plain summaries beside it where asked."""

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.layers import AttentionPooling


class Summary(nn.Module):
    """s = [attention pooling(x) ; mean(x) ; max(x)], over real positions alone; nothing real gives zeros."""

    def __init__(self, width: int, spec: Attention, *, queries: int = 1, beside: tuple[str, ...] = ()) -> None:
        super().__init__()
        self.pooling = AttentionPooling(width, spec, queries=queries)
        self.beside = beside
        self.width = width * (queries + len(beside))

    def forward(self, x_BSM: Tensor, keep_BS: Tensor) -> Tensor:
        parts = [self.pooling(x_BSM, keep=keep_BS).flatten(1)]
        keep_BS1 = keep_BS.unsqueeze(-1)
        if "mean" in self.beside:
            parts.append((x_BSM * keep_BS1).sum(1) / keep_BS1.sum(1).clamp(min=1))
        if "max" in self.beside:
            lowest = torch.finfo(x_BSM.dtype).min
            parts.append(x_BSM.masked_fill(~keep_BS1, lowest).amax(1) * keep_BS.any(1, keepdim=True))
        return torch.cat(parts, -1)
