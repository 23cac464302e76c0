"""Stochastic depth: while training, some texts pass by a layer."""

import torch
from torch import Tensor, nn

from attnkit.kernels.packed import Pieces


class StochasticDepth(nn.Module):
    """y = x + b (after - x), b drawn a text: 0 with probability `rate`, else 1 / (1 - rate); y = after in evaluation.

    x and `after` are what goes into a layer and comes out of it, (B, T, M), or (1, N, M) of packed texts. The rate of
    layer l of L is l / L of that of the last.

    Source: Huang et al. 2016, equations 2 and 4; drawn a text rather than a batch, and scaled while training rather
    than afterwards.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor, after: Tensor, real: Tensor | Pieces) -> Tensor:
        if not self.training or self.rate == 0:
            return after
        texts = len(real.lengths) + 1 if isinstance(real, Pieces) else len(x)
        b_B = (torch.rand(texts, device=x.device) >= self.rate).to(x) / (1 - self.rate)
        if isinstance(real, Pieces):
            counts = torch.tensor([*real.lengths, real.spare], device=x.device)
            return x + b_B.repeat_interleave(counts)[None, :, None] * (after - x)
        return x + b_B[:, None, None] * (after - x)

    def extra_repr(self) -> str:
        """The rate, in `print(model)`."""
        return f"rate={self.rate}"
