"""Normalizers of a slab, forward in place and back from the weights alone."""

from typing import cast

import torch
from torch import Tensor

from attnkit.attention.normalizer import Entmax, Sigmoid, Sink, Softmax, Sparsemax, TopK
from attnkit.attention.normalizer.base import Normalizer
from attnkit.attention.part import Params
from attnkit.kernels.rows.place import Place, Space
from attnkit.kernels.rows.stage import ByAutograd, Stage
from attnkit.kernels.rows.thresholds import entmax_, entmax_backward_, sparsemax_, sparsemax_backward_

_NONE = float("-inf")


class Normalize(Stage):
    """Hides what may not meet, normalizes each row in place, and zeroes the rows that see nothing."""

    def forward(self, x_HRS: Tensor, place: Place, space: Space, keep: bool) -> Tensor:
        """A_HRS."""
        hidden = None if place.allowed_1HRS is None else ~place.allowed_1HRS[0]
        if hidden is not None:
            if hidden.shape[0] > 1:
                hidden = hidden[place.heads]
            x_HRS.masked_fill_(hidden, _NONE)
        self.weigh(x_HRS, place, space, hidden)
        if hidden is not None:
            empty = hidden.all(-1, keepdim=True)
            if bool(empty.any()):
                x_HRS.masked_fill_(empty, 0.0)
        self._weights = x_HRS
        return x_HRS

    def weigh(self, x_HRS: Tensor, place: Place, space: Space, hidden: Tensor | None) -> None:
        """Scores to weights in place; a row of -inf may become anything."""
        raise NotImplementedError(f"{type(self).__name__} weighs nothing")


class SoftmaxRows(Normalize):
    """A = exp(x) / sum exp(x)."""

    def weigh(self, x_HRS: Tensor, place: Place, space: Space, hidden: Tensor | None) -> None:
        torch.softmax(x_HRS, dim=-1, out=x_HRS)

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """A (g - sum A g)."""
        if grad_HRS.is_contiguous():
            fused = torch.ops.aten._softmax_backward_data.out
            return fused(grad_HRS, self._weights, -1, grad_HRS.dtype, grad_input=grad_HRS)
        # torch's fused step takes any other layout for a contiguous one.
        taken = torch.mul(self._weights, grad_HRS, out=space.take("taken", place.shape)).sum(-1, keepdim=True)
        return grad_HRS.sub_(taken).mul_(self._weights)


class TopKRows(SoftmaxRows):
    """The softmax of the k largest scores of each row; of equal ones the earlier keys."""

    def __init__(self, k: int) -> None:
        super().__init__()
        self.k = k

    def weigh(self, x_HRS: Tensor, place: Place, space: Space, hidden: Tensor | None) -> None:
        if self.k < x_HRS.shape[-1]:
            last = x_HRS.topk(self.k, dim=-1, sorted=True).values[..., -1:]
            chosen = x_HRS >= last
            if bool((chosen.sum(-1) > self.k).any()):
                above = x_HRS > last
                left = self.k - above.sum(-1, keepdim=True)
                tied = chosen & ~above
                chosen = above | (tied & (tied.cumsum(-1) <= left))
            x_HRS.masked_fill_(~chosen, _NONE)
        super().weigh(x_HRS, place, space, hidden)


class SinkRows(Normalize):
    """A = exp(x) / (exp(sink) + sum exp(x)), the sink one number a head or the same for all."""

    def __init__(self, logit: Tensor | float) -> None:
        super().__init__((logit,) if isinstance(logit, Tensor) else ())
        self.logit = logit

    def weigh(self, x_HRS: Tensor, place: Place, space: Space, hidden: Tensor | None) -> None:
        if isinstance(self.logit, Tensor):
            sink = self.logit.detach()[place.heads].to(x_HRS.dtype)[:, None, None]
        else:
            sink = torch.full((1, 1, 1), self.logit, dtype=x_HRS.dtype, device=x_HRS.device)
        top = torch.maximum(x_HRS.amax(-1, keepdim=True), sink)
        x_HRS.sub_(top).exp_()
        share = (sink - top).exp_()
        total = x_HRS.sum(-1, keepdim=True).add_(share)
        x_HRS.div_(total)
        self._sink = share.div_(total)

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """A (g - sum A g), and -A_sink sum A g for the sink."""
        taken = torch.mul(self._weights, grad_HRS, out=space.take("taken", place.shape)).sum(-1, keepdim=True)
        if self.grads and self.grads[0] is not None:
            self.grads[0][place.heads] -= (self._sink * taken).sum((1, 2)).to(self.grads[0].dtype)
        return grad_HRS.sub_(taken).mul_(self._weights)


class SigmoidRows(Normalize):
    """A = 1 / (1 + exp(-x - bias)), bias = -ln n where none is given, n the keys that the row may see."""

    def __init__(self, bias: float | None) -> None:
        super().__init__()
        self.bias = bias

    def weigh(self, x_HRS: Tensor, place: Place, space: Space, hidden: Tensor | None) -> None:
        if self.bias is not None:
            x_HRS.add_(self.bias)
        elif hidden is None:
            x_HRS.sub_(torch.tensor(float(x_HRS.shape[-1]), dtype=x_HRS.dtype).log())
        else:
            seen = (~hidden).expand(*hidden.shape[:-1], x_HRS.shape[-1]).sum(-1, keepdim=True).clamp(min=1)
            x_HRS.sub_(seen.to(x_HRS.dtype).log())
        x_HRS.sigmoid_()

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """g A (1 - A)."""
        return torch.ops.aten.sigmoid_backward.grad_input(grad_HRS, self._weights, grad_input=grad_HRS)


class SparsemaxRows(Normalize):
    """A = max(x - tau, 0)."""

    def weigh(self, x_HRS: Tensor, place: Place, space: Space, hidden: Tensor | None) -> None:
        sparsemax_(x_HRS)

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """g less its mean, on the support."""
        sparsemax_backward_(self._weights, grad_HRS)
        return grad_HRS


class EntmaxRows(Normalize):
    """A = max((alpha - 1) x - tau, 0)^(1 / (alpha - 1)) for an alpha that is not learned."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def weigh(self, x_HRS: Tensor, place: Place, space: Space, hidden: Tensor | None) -> None:
        entmax_(x_HRS, self.alpha)

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """s (g - sum s g / sum s), s = A^(2 - alpha)."""
        entmax_backward_(self._weights, grad_HRS, self.alpha)
        return grad_HRS


def normalize(normalizer: Normalizer, params: Params) -> Stage:
    """The stage of a normalizer: its own, or by its own words where it is a user's."""
    kind = type(normalizer)
    if kind is Softmax or (kind is Entmax and cast(Entmax, normalizer).alpha == 1.0):
        return SoftmaxRows()
    if kind is TopK:
        return TopKRows(cast(TopK, normalizer).k)
    if kind is Sink:
        logit = cast(Sink, normalizer).logit
        return SinkRows(params["logit"] if logit is None else logit)
    if kind is Sigmoid:
        return SigmoidRows(cast(Sigmoid, normalizer).bias)
    if kind is Sparsemax:
        return SparsemaxRows()
    if kind is Entmax:
        alpha = cast(Entmax, normalizer).alpha
        if alpha is not None:
            return SparsemaxRows() if alpha == 2.0 else EntmaxRows(alpha)
    if kind is Entmax:
        return _learned_entmax(params["raw_alpha"])
    names = list(params)

    def step(x: Tensor, place: Place, *own: Tensor) -> Tensor:
        allowed = place.allowed_1HRS
        return normalizer.weights(x, allowed, dict(zip(names, own, strict=True)))

    return ByAutograd(step, tuple(params.values()))


def _learned_entmax(raw_alpha_H: Tensor) -> ByAutograd:
    """An alpha a head: its gradient is the derivative of a threshold, which autograd finds, head by head."""

    def step(x: Tensor, place: Place, raw_alpha: Tensor) -> Tensor:
        allowed = place.allowed_1HRS
        if allowed is not None and allowed.shape[1] > 1:
            allowed = allowed[:, place.heads]
        return Entmax(None).weights(x, allowed, {"raw_alpha": raw_alpha})

    def of_heads(x: Tensor, place: Place) -> Tensor:
        return x[place.heads]

    return ByAutograd(step, (raw_alpha_H,), (of_heads,), whole_heads=False)
