"""A transformer encoder around any attention operator."""

import math

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.kernels.packed import Pieces
from attnkit.layers import AttentionLayer, Dropout
from attnkit.model.stochastic_depth import StochasticDepth


class TransformerEncoder(nn.Module):
    """x = x + attention(norm(x)); x = x + W_2 gelu(W_1 norm(x)), `layers` times, then a last norm (pre-norm).

    Sinusoid positions are added to the input where the operator itself cannot tell one order from another. `real` is
    keep_BT of a padded batch, or the Pieces of a packed one, x (1, N, M).

    Source: Vaswani et al. 2017; pre-norm, Xiong et al. 2020.
    """

    def __init__(
        self,
        input_width: int,
        width: int,
        spec: Attention,
        *,
        layers: int = 1,
        heads: int = 4,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        layer_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.project = nn.Linear(input_width, width) if input_width != width else nn.Identity()
        self.reads_below = spec.needs_state
        self.add_positions = spec.claims().order_free
        self.layers = nn.ModuleList(
            _Layer(width, spec, heads, dropout, attention_dropout, layer_dropout * (number + 1) / layers)
            for number in range(layers)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x_BTM: Tensor, real: Tensor | Pieces) -> Tensor:
        x_BTM = self.project(x_BTM)
        if self.add_positions:
            x_BTM = x_BTM + sinusoid(x_BTM, real.place_N if isinstance(real, Pieces) else None)
        state = None
        for layer in self.layers:
            x_BTM, state = layer(x_BTM, real, state)
        x_BTM = self.norm(x_BTM)
        return x_BTM if isinstance(real, Pieces) else x_BTM * real.unsqueeze(-1)

    def refuses_packing(self) -> str | None:
        """Why texts cannot stand end to end here; None where they can."""
        if self.reads_below:
            return "its attention reads the map of the layer below, which a packed batch does not keep"
        return None


class _Layer(nn.Module):
    def __init__(
        self, width: int, spec: Attention, heads: int, dropout: float, attention_dropout: float, layer_dropout: float
    ) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = AttentionLayer(width, spec, heads=heads, dropout=attention_dropout)
        self.wide_norm = nn.LayerNorm(width)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), Dropout(dropout), nn.Linear(4 * width, width))
        self.dropout = Dropout(dropout)
        self.depth = StochasticDepth(layer_dropout)

    def forward(self, x_BTM: Tensor, real: Tensor | Pieces, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        normed_BTM = self.attention_norm(x_BTM)
        if isinstance(real, Pieces):
            mixed_BTM = self.attention(normed_BTM, pieces=real)
        elif self.attention.spec.needs_state:
            mixed_BTM, state = self.attention.with_rows(normed_BTM, keep=real, state=state)
        else:
            mixed_BTM = self.attention(normed_BTM, keep=real)
        after_BTM = x_BTM + self.dropout(mixed_BTM)
        after_BTM = after_BTM + self.dropout(self.wide(self.wide_norm(after_BTM)))
        return self.depth(x_BTM, after_BTM, real), state


def sinusoid(x_BTM: Tensor, place_T: Tensor | None = None) -> Tensor:
    """p_t,2m = sin(t / 10000^(2m/M)), p_t,2m+1 = cos of the same, for the length and width of `x_BTM`.

    `place_T` says where each token stands, where that is not 0 to T - 1.
    """
    width = x_BTM.shape[-1]
    if place_T is None:
        place_T = torch.arange(x_BTM.shape[1], device=x_BTM.device)
    place_T1 = place_T.to(torch.float32).unsqueeze(1)
    speed_M = torch.exp(torch.arange(0, width, 2, device=x_BTM.device) * (-math.log(10000.0) / width))
    angle_TM = place_T1 * speed_M
    return torch.stack([angle_TM.sin(), angle_TM.cos()], -1).flatten(1)[:, :width].to(x_BTM.dtype)
