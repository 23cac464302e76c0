"""Int8Linear: a linear map whose products are those of whole numbers."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.layers.rounding import Rounding

_MOST, _TINY = 127, 1e-12


class Int8Linear(nn.Module):
    """y = W x + b with W and x rounded to 8 bits, multiplied and summed as whole numbers.

    W has a scale a row. x has one a token, from its own largest entry, or, `static`, one and the same for all, which
    `largest` gives: what lies beyond is cut off. Where a gradient of x is asked for, in a program that is exported, and
    on a device without such a product, the same rounded numbers are multiplied as plain ones, with a straight-through
    gradient.

    Source: Jacob et al. 2018, section 2; scales a token, Yao et al. 2022 (ZeroQuant), section 3.1.
    """

    codes: Tensor
    scale: Tensor
    largest: Tensor

    def __init__(self, weight_OI: Tensor, bias_O: nn.Parameter | None, static: bool = False) -> None:
        super().__init__()
        codes_OI, scale_O1 = Rounding(8).codes(weight_OI.detach())
        # Stored as the product reads it: turned on each call it would cost more than the product saves.
        self.register_buffer("codes", codes_OI.t().contiguous())
        self.register_buffer("scale", scale_O1.squeeze(-1))
        self.bias = bias_O
        self.static = static
        if static:
            self.register_buffer("largest", torch.ones((), device=weight_OI.device))

    def forward(self, x: Tensor) -> Tensor:
        step = (self.largest if self.static else x.detach().abs().amax(-1, keepdim=True)) / _MOST
        step = step.clamp(min=_TINY)
        if self._plain(x):
            # The gradient ends where x is cut off.
            cut = self._cut(x) if self.static else x
            rounded = cut + ((cut / step).round() * step - cut).detach()
            y = F.linear(rounded, (self.codes.to(x.dtype) * self.scale.to(x.dtype)).t())
        else:
            whole = (x / step).round_().clamp_(-_MOST, _MOST).to(torch.int8)
            product = torch._int_mm(whole.flatten(0, -2), self.codes).view(*x.shape[:-1], len(self.scale))
            y = (product * (step * self.scale)).to(x.dtype)
        return y if self.bias is None else y + self.bias

    def _cut(self, x: Tensor) -> Tensor:
        # Not a clamp, which the exporter to ONNX puts before what it reads.
        x = torch.where(x > self.largest, self.largest, x)
        return torch.where(x < -self.largest, -self.largest, x)

    def _plain(self, x: Tensor) -> bool:
        asked = torch.is_grad_enabled() and x.requires_grad
        return asked or torch.compiler.is_exporting() or x.device.type != "cpu" or x.ndim < 2
