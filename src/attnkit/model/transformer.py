"""A transformer encoder around any attention operator."""

import math

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.layers import AttentionLayer


class TransformerEncoder(nn.Module):
    """x = x + attention(norm(x)); x = x + W_2 gelu(W_1 norm(x)), `layers` times, then a last norm (pre-norm).

    Sinusoid positions are added to the input where the operator itself cannot tell one order from another.

    Source: Vaswani et al. 2017; pre-norm, Xiong et al. 2020.
    """

    def __init__(
        self, input_width: int, width: int, spec: Attention, *, layers: int = 1, heads: int = 4, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.project = nn.Linear(input_width, width) if input_width != width else nn.Identity()
        self.add_positions = spec.claims().order_free
        self.layers = nn.ModuleList(_Layer(width, spec, heads, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x_BTM: Tensor, keep_BT: Tensor) -> Tensor:
        x_BTM = self.project(x_BTM)
        if self.add_positions:
            x_BTM = x_BTM + sinusoid(x_BTM)
        state = None
        for layer in self.layers:
            x_BTM, state = layer(x_BTM, keep_BT, state)
        return self.norm(x_BTM) * keep_BT.unsqueeze(-1)


class _Layer(nn.Module):
    def __init__(self, width: int, spec: Attention, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = AttentionLayer(width, spec, heads=heads, dropout=dropout)
        self.wide_norm = nn.LayerNorm(width)
        self.wide = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTM: Tensor, keep_BT: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        normed_BTM = self.attention_norm(x_BTM)
        if self.attention.spec.needs_state:
            mixed_BTM, state = self.attention.with_rows(normed_BTM, keep=keep_BT, state=state)
        else:
            mixed_BTM = self.attention(normed_BTM, keep=keep_BT)
        x_BTM = x_BTM + self.dropout(mixed_BTM)
        return x_BTM + self.dropout(self.wide(self.wide_norm(x_BTM))), state


def sinusoid(x_BTM: Tensor) -> Tensor:
    """p_t,2m = sin(t / 10000^(2m/M)), p_t,2m+1 = cos of the same, for the length and width of `x_BTM`."""
    width = x_BTM.shape[-1]
    place_T1 = torch.arange(x_BTM.shape[1], device=x_BTM.device, dtype=torch.float32).unsqueeze(1)
    speed_M = torch.exp(torch.arange(0, width, 2, device=x_BTM.device) * (-math.log(10000.0) / width))
    angle_TM = place_T1 * speed_M
    return torch.stack([angle_TM.sin(), angle_TM.cos()], -1).flatten(1)[:, :width].to(x_BTM.dtype)
