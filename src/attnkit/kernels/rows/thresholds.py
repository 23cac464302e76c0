"""Sparsemax and entmax of the rows of a slab, in place, and back from the weights alone.

Rows are (..., S); -inf marks what may not be seen, and a row of nothing else becomes zeros. In float32 native
loops do it where there are any, with the same numbers up to rounding.
"""

from typing import Any

import torch
from torch import Tensor

from attnkit.kernels.native.rows import weigh_, weigh_back_
from attnkit.kernels.rows.place import Space, in_cache

_NONE = float("-inf")
# Newton's steps gain this often more than enough digits; rows that need more are made for the purpose.
_MOST_STEPS = 64


def sparsemax_(x: Tensor, space: Space | None = None) -> Tensor:
    """x becomes max(x - tau, 0), tau such that each row sums to one.

    `space` lends a workspace the size of x. A row with NaN or +inf becomes NaN.

    Raises: TypeError where x is neither float32 nor float64.
    Source: Martins and Astudillo (2016), From softmax to sparsemax, eq. 2; the steps: Michelot (1986).
    Cost: some 5 passes over x, each of them in cache where the slab is; no sort.
    """
    _check(x)
    if x.numel() and not weigh_("sparsemax", x):
        for (part,) in in_cache(x):
            _sparsemax_(part, space)
    return x


def entmax_(x: Tensor, alpha: float, space: Space | None = None) -> Tensor:
    """x becomes max((alpha - 1) x - tau, 0)^(1 / (alpha - 1)), tau such that each row sums to one.

    `space` lends a workspace or two the size of x. A row with NaN or +inf becomes NaN.

    Raises: TypeError where x is neither float32 nor float64; ValueError where alpha is not in [1, 2].
    Source: Peters, Niculae and Martins (2019), Sparse sequence-to-sequence models, eq. 8 and 10.
    Cost: some 6 passes over x; where alpha is not 1, 1.5 or 2 with two exponentials and a logarithm a number.
    """
    _check(x, alpha)
    if alpha == 2.0:
        return sparsemax_(x, space)
    if alpha == 1.0:
        empty = x.amax(-1, keepdim=True) == _NONE if x.numel() else x
        return torch.softmax(x, -1, out=x).masked_fill_(empty, 0.0) if x.numel() else x
    if x.numel() and not (weigh_("entmax15", x) if alpha == 1.5 else weigh_("entmax", x, alpha - 1.0)):
        for (part,) in in_cache(x):
            if alpha == 1.5:
                _entmax15_(part, space)
            else:
                _entmax_(part, alpha - 1.0, space)
    return x


def sparsemax_backward_(weights: Tensor, grad: Tensor, space: Space | None = None) -> Tensor:
    """grad by the weights becomes grad by the scores: less its mean on the support, zero elsewhere.

    Raises: TypeError where a tensor is neither float32 nor float64; ValueError where the shapes differ.
    Source: Martins and Astudillo (2016), eq. 14.
    Cost: 4 passes.
    """
    return _back_(weights, grad, 2.0, space)


def entmax_backward_(weights: Tensor, grad: Tensor, alpha: float, space: Space | None = None) -> Tensor:
    """grad by the weights becomes grad by the scores: s (g - sum s g / sum s) with s = weights^(2 - alpha), 0 at 0.

    Raises: TypeError where a tensor is neither float32 nor float64; ValueError where the shapes differ or where alpha
        is not in [1, 2].
    Source: Peters, Niculae and Martins (2019), eq. 15.
    Cost: 4 passes.
    """
    return _back_(weights, grad, alpha, space)


def _back_(weights: Tensor, grad: Tensor, alpha: float, space: Space | None) -> Tensor:
    _check(weights, alpha)
    _check(grad)
    if weights.shape != grad.shape:
        raise ValueError(f"weights and grad must have one shape; got {tuple(weights.shape)} and {tuple(grad.shape)}")
    loops: dict[float, tuple[Any, ...]] = {1.5: ("entmax15",), 2.0: ("sparsemax",)}
    loop, *settings = loops.get(alpha, ("entmax", alpha - 1.0))
    if not grad.numel() or weigh_back_(loop, weights, grad, *settings):
        return grad
    for part, back in in_cache(weights, grad):
        _slope_back_(part, back, alpha, space)
    return grad


def _slope_back_(weights: Tensor, grad: Tensor, alpha: float, space: Space | None) -> None:
    slope = _room(weights, space, "slope")
    if alpha == 2.0:
        torch.sign(weights, out=slope)
    elif alpha == 1.5:
        torch.sqrt(weights, out=slope)
    else:
        torch.pow(weights, 2.0 - alpha, out=slope)
    total = slope.sum(-1, keepdim=True)
    grad.mul_(slope)
    mean = grad.sum(-1, keepdim=True) / total.masked_fill_(total == 0, 1.0)
    grad.addcmul_(slope, mean, value=-1.0)


def _sparsemax_(x: Tensor, space: Space | None) -> None:
    _below_top(x)
    above = _room(x, space, "above")
    tau, before = torch.full_like(x[..., :1], -1.0), torch.zeros_like(x[..., :1])
    for _ in range(_MOST_STEPS):
        torch.sub(x, tau, out=above).clamp_(min=0.0)
        excess = above.sum(-1, keepdim=True).sub_(1.0)
        # The sign is NaN nowhere: a row of NaN must not keep the others going.
        count = above.sign_().sum(-1, keepdim=True).nan_to_num_(1.0)
        tau += excess / count.clamp(min=1.0)
        if torch.equal(count, before):
            break
        before = count
    x.sub_(tau).clamp_(min=0.0)


def _entmax15_(x: Tensor, space: Space | None) -> None:
    """Newton's steps on the norm of max(x - tau, 0), which is convex in tau: from the left none goes too far."""
    _below_top(x).mul_(0.5)
    above = _room(x, space, "above")
    tau = torch.full_like(x[..., :1], -1.0)
    for _ in range(_MOST_STEPS):
        torch.sub(x, tau, out=above).clamp_(min=0.0)
        norm = torch.linalg.vector_norm(above, dim=-1, keepdim=True)
        total = above.sum(-1, keepdim=True)
        tau += norm * (norm - 1.0) / total.masked_fill_(total == 0, 1.0)
        if not (norm > 1.0 + 0.5 * _enough(x)).any():
            break
    above = torch.sub(x, tau, out=above).clamp_(min=0.0)
    torch.mul(above, above, out=x)


def _entmax_(x: Tensor, a: float, space: Space | None) -> None:
    """The same steps on the 1/a-norm, for weights (1 + a (x - s))^(1/a): one step is enough as a goes to 0."""
    _below_top(x)
    power, slope = _room(x, space, "above"), _room(x, space, "slope")
    s = torch.zeros_like(x[..., :1])
    for _ in range(_MOST_STEPS):
        _logarithm(x, s, a, power)
        total_slope = torch.mul(power, 1.0 - a, out=slope).exp_().sum(-1, keepdim=True)
        total = power.exp_().sum(-1, keepdim=True)
        step = total * torch.expm1(-a * total.clamp(min=1.0).log())
        s -= step / (a * total_slope.masked_fill_(total_slope == 0, 1.0))
        if not (total > 1.0 + _enough(x)).any():
            break
    _logarithm(x, s, a, x).exp_()


def _logarithm(x: Tensor, s: Tensor, a: float, out: Tensor) -> Tensor:
    """ln of the weights."""
    return torch.sub(x, s, out=out).mul_(a).clamp_(min=-1.0).log1p_().div_(a)


def _enough(x: Tensor) -> float:
    """How far above one a row's sum may be before the last step, which squares it."""
    return 1e-5 if x.dtype == torch.float32 else 1e-9


def _below_top(x: Tensor) -> Tensor:
    """Scores less the largest of their row, which is then 0: no score is too large to be added up."""
    top = x.amax(-1, keepdim=True)
    return x.sub_(top.masked_fill_(top == _NONE, 0.0))


def _room(x: Tensor, space: Space | None, name: str) -> Tensor:
    return torch.empty_like(x) if space is None else space.take(name, tuple(x.shape), x.dtype)


def _check(x: Tensor, alpha: float = 2.0) -> None:
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"thresholds need the digits of float32 or float64; got {x.dtype}: convert the slab first")
    if not 1.0 <= alpha <= 2.0:
        raise ValueError(f"alpha must be in [1, 2]; got {alpha}")
