"""An encoder of the BERT family: learned places, post-norm layers, around any attention operator."""

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.kernels.packed import Pieces
from attnkit.layers import AttentionLayer, Dropout
from attnkit.model.embedding import SEPARATOR
from attnkit.model.stochastic_depth import StochasticDepth


class BertPlaces(nn.Module):
    """y_BTM = P[place of the token in its text] + S[side], what stands beside the embedding of a word.

    The side is 0 up to the first separator of a text, that included, and 1 behind it; with `sides` 1 it is always 0.
    `real` is keep_BT of a padded batch, or the Pieces of a packed one, with ids (1, N).

    Raises: ValueError where a text is longer than `positions`.
    Source: Devlin et al. 2019, figure 2.
    """

    def __init__(self, width: int, *, positions: int, sides: int) -> None:
        super().__init__()
        self.positions = nn.Embedding(positions, width)
        self.sides = nn.Embedding(sides, width)
        with torch.no_grad():
            self.positions.weight.normal_(0, 0.02)
            self.sides.weight.normal_(0, 0.02)

    def forward(self, ids_BT: Tensor, real: Tensor | Pieces) -> Tensor:
        parts_BT = (ids_BT == SEPARATOR).long()
        # Separators before the token itself, in its own text.
        before_BT = parts_BT.cumsum(1) - parts_BT
        place_T = torch.arange(ids_BT.shape[1], device=ids_BT.device)
        most = self.positions.num_embeddings
        if isinstance(real, Pieces):
            longest = max(real.lengths)
            before_BT = before_BT - before_BT[:, place_T - real.place_N]
            place_T = real.place_N
        elif ids_BT.shape[1] > most and not torch.compiler.is_exporting():
            longest = int(real.sum(1).max())
        else:
            longest = 0
        if longest > most:
            raise ValueError(
                f"this encoder has {most} positions and a text has {longest} tokens; cut tokens.max_tokens"
            )
        # Padding and spare tokens may stand further out; nothing reads them.
        return self.positions(place_T.clamp(max=most - 1)) + self.sides(
            before_BT.clamp(max=self.sides.num_embeddings - 1)
        )


class BertEncoder(nn.Module):
    """x = norm(x), then x = norm(x + attention(x)); x = norm(x + W_2 gelu(W_1 x)), `layers` times (post-norm).

    Where the input is not as wide as the layers, a projection follows the first norm. `real` is keep_BT of a padded
    batch, or the Pieces of a packed one, x (1, N, M).

    Source: Devlin et al. 2019, section 3; the projection, Clark et al. 2020 (ELECTRA), section 3.2.
    """

    def __init__(
        self,
        input_width: int,
        width: int,
        spec: Attention,
        *,
        layers: int,
        heads: int,
        inner_width: int,
        epsilon: float,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        layer_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.reads_below = spec.needs_state
        self.input_norm = nn.LayerNorm(input_width, eps=epsilon)
        self.dropout = Dropout(dropout)
        self.project = nn.Linear(input_width, width) if input_width != width else nn.Identity()
        self.layers = nn.ModuleList(
            BertLayer(
                width,
                spec,
                heads=heads,
                inner_width=inner_width,
                epsilon=epsilon,
                dropout=dropout,
                attention_dropout=attention_dropout,
                layer_dropout=layer_dropout * (number + 1) / layers,
            )
            for number in range(layers)
        )

    def forward(self, x_BTM: Tensor, real: Tensor | Pieces) -> Tensor:
        x_BTM = self.project(self.dropout(self.input_norm(x_BTM)))
        state = None
        for layer in self.layers:
            x_BTM, state = layer(x_BTM, real, state)
        return x_BTM if isinstance(real, Pieces) else x_BTM * real.unsqueeze(-1)

    def refuses_packing(self) -> str | None:
        """Why texts cannot stand end to end here; None where they can."""
        if self.reads_below:
            return "its attention reads the map of the layer below, which a packed batch does not keep"
        return None


class BertLayer(nn.Module):
    """One layer: attention, then the wide map, a norm behind each."""

    def __init__(
        self,
        width: int,
        spec: Attention,
        *,
        heads: int,
        inner_width: int,
        epsilon: float,
        dropout: float,
        attention_dropout: float,
        layer_dropout: float,
    ) -> None:
        super().__init__()
        self.attention = AttentionLayer(width, spec, heads=heads, dropout=attention_dropout)
        self.attention_norm = nn.LayerNorm(width, eps=epsilon)
        self.wide = nn.Sequential(nn.Linear(width, inner_width), nn.GELU(), nn.Linear(inner_width, width))
        self.wide_norm = nn.LayerNorm(width, eps=epsilon)
        self.dropout = Dropout(dropout)
        self.depth = StochasticDepth(layer_dropout)

    def forward(self, x_BTM: Tensor, real: Tensor | Pieces, state: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(x_BTM, the map for the layer above where its attention reads one)."""
        if isinstance(real, Pieces):
            mixed_BTM = self.attention(x_BTM, pieces=real)
        elif self.attention.spec.needs_state:
            mixed_BTM, state = self.attention.with_rows(x_BTM, keep=real, state=state)
        else:
            mixed_BTM = self.attention(x_BTM, keep=real)
        after_BTM = self.attention_norm(x_BTM + self.dropout(mixed_BTM))
        after_BTM = self.wide_norm(after_BTM + self.dropout(self.wide(after_BTM)))
        return self.depth(x_BTM, after_BTM, real), state
