"""NoAttention: what is left of an attention layer whose heads were all taken out."""

from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.kernels.packed import Pieces


class NoAttention(nn.Module):
    """out_BTM = b, the bias of the last projection, whatever is read: a layer of no heads mixes nothing.

    `spec` is the operator that stood here. It holds no map, so there is nothing to listen to.
    """

    def __init__(self, spec: Attention, bias: nn.Parameter) -> None:
        super().__init__()
        self.spec = spec
        self.bias = bias

    def forward(self, x_BTM: Tensor, *, keep: Tensor | None = None, pieces: Pieces | None = None) -> Tensor:
        """out_BTM, the same at each place."""
        return self.bias.to(x_BTM.dtype).expand_as(x_BTM)
