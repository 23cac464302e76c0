"""Linear maps and tables whose weights are stored as whole numbers or in bfloat16, and made numbers again on use."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.layers.rounding import Rounding


class IntegerLinear(nn.Module):
    """y = W x + b with W = scale x code: the codes are stored, the product is that of plain numbers.

    Cost: I x O conversions beside the product, whatever the number of rows.
    """

    codes: Tensor
    scale: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: nn.Parameter | None, rounding: Rounding) -> None:
        super().__init__()
        self.rounding, self.width = rounding, weight_OI.shape[1]
        codes, scale = rounding.codes(weight_OI.detach())
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale)
        self.bias = bias_O

    def forward(self, x: Tensor) -> Tensor:
        if self.rounding.bits == 8 and self.scale.shape[-1] == 1:
            # A scale a row can wait for the product, which leaves a conversion alone.
            y = F.linear(x, self.codes.to(x.dtype)) * self.scale.squeeze(-1).to(x.dtype)
            return y if self.bias is None else y + self.bias
        return F.linear(x, self.rounding.weights(self.codes, self.scale, self.width).to(x.dtype), self.bias)


class IntegerTable(nn.Module):
    """x = E[ids] with E = scale x code: only the rows that are looked up become numbers again."""

    codes: Tensor
    scale: Tensor

    def __init__(self, weight_VM: Tensor, rounding: Rounding) -> None:
        super().__init__()
        self.num_embeddings = len(weight_VM)
        self.rounding, self.width = rounding, weight_VM.shape[1]
        codes, scale = rounding.codes(weight_VM.detach())
        self.register_buffer("codes", codes)
        self.register_buffer("scale", scale)

    def forward(self, ids: Tensor) -> Tensor:
        return self.rounding.weights(F.embedding(ids, self.codes), F.embedding(ids, self.scale), self.width)


class HalfLinear(nn.Module):
    """y = W x + b with W stored in bfloat16, computed in the type of x."""

    weight: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: nn.Parameter | None) -> None:
        super().__init__()
        self.register_buffer("weight", weight_OI.detach().to(torch.bfloat16))
        self.bias = bias_O

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype), self.bias)


class HalfTable(nn.Module):
    """x = E[ids] with E stored in bfloat16, given in float32."""

    weight: Tensor

    def __init__(self, weight_VM: Tensor) -> None:
        super().__init__()
        self.num_embeddings = len(weight_VM)
        self.register_buffer("weight", weight_VM.detach().to(torch.bfloat16))

    def forward(self, ids: Tensor) -> Tensor:
        return F.embedding(ids, self.weight).float()
