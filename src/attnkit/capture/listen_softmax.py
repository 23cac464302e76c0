"""Attention written out by hand, heard by its two ends: a softmax, and the product of its answer with values."""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.capture.foreign import Call
from attnkit.layers.model_operator import Wishes

SOFTMAXES = {torch.softmax, F.softmax, Tensor.softmax}
PRODUCTS = {torch.matmul, Tensor.matmul, Tensor.__matmul__, torch.bmm, Tensor.bmm}
# What may happen to weights on the way without their being others, dropout apart.
DROPOUTS = {F.dropout, torch.dropout}
CASTS = {Tensor.to, Tensor.type, Tensor.type_as, Tensor.float, Tensor.half, Tensor.bfloat16}
COPIES = {Tensor.reshape, Tensor.contiguous, torch.reshape}


@dataclass(eq=False)
class Weights:
    """Weights whose values are awaited: the scores that they come from, and where they are now."""

    scores: Tensor
    now: Tensor
    dropout: float = 0.0

    def are(self, x: Any) -> bool:
        """True where `x` is these weights, in whatever shape."""
        return isinstance(x, Tensor) and x.data_ptr() == self.now.data_ptr() and x.numel() == self.now.numel()


def begun(out: Tensor, args: Any, kwargs: Any) -> Weights | None:
    """The weights that a softmax gives, None where they are not over the last axis of (..., T, S)."""
    x = args[0] if args else kwargs.get("input")
    dim = args[1] if len(args) > 1 else kwargs.get("dim")
    if not isinstance(x, Tensor) or x.dim() not in (3, 4) or dim not in (-1, x.dim() - 1) or x.shape[-1] == 0:
        return None
    return Weights(x.detach(), out.detach())


def followed(weights: Weights, out: Any, func: Any, args: Any, kwargs: Any) -> None:
    """Know the weights again after what was done to them."""
    if not isinstance(out, Tensor) or not args or not weights.are(args[0]):
        return
    if func in DROPOUTS:
        p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
        training = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train", True))
        weights.dropout = max(weights.dropout, p if training else 0.0)
        weights.now = out.detach()
    elif (func in CASTS and out.is_floating_point()) or func in COPIES:
        weights.now = out.detach()


def ended(weights: Weights, out: Tensor, args: Any, batch: int | None) -> Call | None:
    """The attention that mixes `args[1]`: a product of nothing, with its scores added; None where shapes say otherwise.

    Where heads lie in the first axis, `batch` is the number of texts, which come first.
    """
    scores, v, mixed = weights.scores, args[1].detach(), out.detach()
    if scores.dim() == 3:
        heads = scores.shape[0] // batch if batch and scores.shape[0] % batch == 0 else 1
        scores = scores.unflatten(0, (-1, heads))
    B, H, T, S = scores.shape
    if v.dim() < 3 or v.shape[-2] != S or v.numel() % (S * v.shape[-1]) or mixed.numel() != B * H * T * v.shape[-1]:
        return None
    if v.numel() != B * H * S * v.shape[-1]:
        return None
    v, mixed = v.reshape(B, H, S, -1), mixed.reshape(B, H, T, -1)
    q, k = v.new_zeros(B, H, T, 1), v.new_zeros(B, H, S, 1)
    return Call(q, k, v, mixed, scores, False, Wishes(scaling=1.0))
