"""Dropout on activations without a mask that is kept: whether a number stays follows from a seed and its place."""

from typing import Any

import torch
from torch import Tensor, nn

from attnkit.kernels.rows.dropout import DropoutMask
from attnkit.kernels.rows.program import fresh_seed


class Dropout(nn.Dropout):
    """y = x times 0 or 1 / (1 - p), drawn anew at each call, while training; torch's own, and sooner on a processor.

    There torch draws one number after the other and keeps the mask. Here one seed is drawn from torch's generator, and
    the mask is a hash of the seed and of where a number stands, which the backward pass makes again. Float32 on a
    processor is computed so; any other type or device, and a program that is compiled, by torch.

    Source: Srivastava et al. (2014), Dropout; the mask: `attnkit.kernels.rows.dropout.DropoutMask`.
    Cost: a copy and, natively, one pass over it, forward and backward; nothing is kept in between.
    """

    def forward(self, x: Tensor) -> Tensor:
        """y, of the shape of x."""
        if not self.training or not 0.0 < self.p < 1.0 or not _counts(x):
            return super().forward(x)
        dropped: Tensor = _Dropped.apply(x, self.p, fresh_seed(None))
        return dropped


def _counts(x: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu" and x.dim() > 0 and not torch.compiler.is_compiling()


class _Dropped(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, p: float, seed: int) -> Tensor:
        ctx.p, ctx.seed = p, seed
        y = x.clone(memory_format=torch.contiguous_format)
        # The mask is of places in memory order, so that both passes see one, however x lies there.
        DropoutMask(seed, p).apply_(y.view(-1, max(1, y.shape[-1])), 0, 0, 0)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        # Through `apply`, so that it can be differentiated again.
        return _Dropped.apply(grad, ctx.p, ctx.seed), None, None
