"""Output gate: the input decides how much of each mixed value passes."""

import torch
from torch import Tensor, nn


class OutputGate(nn.Module):
    """out = mixed * sigmoid(W x + b), one gate a mixed feature; not linear in v, so a layer and not an attention.

    Shapes: x (B, T, M), mixed (B, T, H x E). Begins nearly open: W = 0 and b = 4.
    Source: Qiu et al. (2025), Gated attention for large language models, eq. 5.
    Cost: M x H x E multiply-adds a token.
    """

    def __init__(self, model_width: int, mixed_width: int) -> None:
        super().__init__()
        self.open = nn.Linear(model_width, mixed_width)
        nn.init.zeros_(self.open.weight)
        nn.init.constant_(self.open.bias, 4.0)

    def forward(self, x_BTM: Tensor, mixed: Tensor) -> Tensor:
        """The mixed values, gated."""
        return mixed * torch.sigmoid(self.open(x_BTM))
