"""Entmax."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import zeros
from attnkit.attention.normalizer.base import Normalizer, below_top, exact, visible
from attnkit.attention.normalizer.softmax import Softmax
from attnkit.attention.normalizer.sparsemax import sparsemax
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require

_SERIES_BELOW = 0.05


@dataclass(frozen=True)
class Entmax(Normalizer):
    """A_ts = max((alpha - 1) z_ts - tau_t, 0)^(1 / (alpha - 1)), tau_t such that the row sums to one.

    alpha = 1 is the softmax, alpha = 2 the sparsemax, between them rows are sparse the more the larger alpha is. With
    `alpha` None it is learned a head as 1 + sigmoid(raw_alpha), 1.5 at first.

    Raises: ValueError where `alpha` is not in [1, 2].
    Source: Peters, Niculae and Martins (2019), Sparse sequence-to-sequence models, eq. 8 and 10; learned: Correia,
        Niculae and Martins (2019), Adaptively sparse transformers, section 3.
    Cost: about 20 x T x S exponentials and logarithms a head in float32, 35 in float64.
    """

    alpha: float | None = 1.5

    def __post_init__(self) -> None:
        require(self.alpha is None or 1.0 <= self.alpha <= 2.0, self, "alpha", "in [1, 2]")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`raw_alpha`: one a head, where no alpha is given."""
        return {} if self.alpha is not None else {"raw_alpha": ParamSpec((dims.heads,), zeros)}

    def weights(self, scores_BHTS: Tensor, allowed_BHTS: Tensor | None, params: Params) -> Tensor:
        """A_BHTS."""
        if self.alpha == 1.0:
            return Softmax().weights(scores_BHTS, allowed_BHTS, params)
        if self.alpha == 2.0:
            return sparsemax(scores_BHTS, allowed_BHTS)
        z = exact(scores_BHTS)
        if self.alpha is None:
            a = needed(params, "raw_alpha", self).to(z.dtype).sigmoid()[:, None, None]
        else:
            a = torch.full((1,), self.alpha - 1.0, dtype=z.dtype, device=z.device)
        return entmax(z, allowed_BHTS, a).to(scores_BHTS.dtype)


def entmax(scores_BHTS: Tensor, allowed_BHTS: Tensor | None, a: Tensor) -> Tensor:
    """Weights for a = alpha - 1 in [0, 1], as p(u) = (1 + a u)^(1/a) with u = z - s, which is exp(u) at a = 0.

    The threshold s is found without gradient; two Newton steps from there change nothing but the derivatives, of which
    the first step makes the first exact and the second step the second, also those by alpha.
    """
    z = below_top(scores_BHTS, allowed_BHTS)
    s = _threshold(z.detach(), a.detach(), visible(z, allowed_BHTS))
    for _ in range(2):
        weight, slope = _power(z - s, a)
        total = slope.sum(-1, keepdim=True)
        s = s + (weight.sum(-1, keepdim=True) - 1.0) / total.masked_fill(total == 0, 1.0)
    return _power(z - s, a)[0]


def _threshold(z: Tensor, a: Tensor, count: Tensor) -> Tensor:
    """s with sum p(z - s) = 1 for rows whose largest score is 0, by halving its bracket [0, (1 - count^-a) / a].

    Half of the dtype's digits are enough: each Newton step that follows doubles their number.
    """
    # Below any a that matters, so that nothing is divided by zero: the limit, softmax, is reached long before.
    a = a.clamp(min=1e-30)
    low = torch.zeros_like(z[..., :1])
    high = -torch.expm1(-a * count.log()) / a + low
    for _ in range(30 if z.dtype == torch.float64 else 16):
        middle = 0.5 * (low + high)
        total = torch.exp(torch.log1p((a * (z - middle)).clamp(min=-1.0)) / a).sum(-1, keepdim=True)
        low, high = torch.where(total >= 1.0, middle, low), torch.where(total >= 1.0, high, middle)
    return low


def _power(u: Tensor, a: Tensor) -> tuple[Tensor, Tensor]:
    """p = (1 + a u)^(1/a) and its derivative by u, p^(1-a), both zero where 1 + a u is not above zero.

    ln(1 + x) / x comes from its series where x = a u is small: the quotient loses the digits its derivatives need.
    Each branch sees harmless numbers where the other is taken, so that no gradient is NaN.
    """
    x = a * u
    inside = x > 4.0 * torch.finfo(x.dtype).eps - 1.0
    u = torch.where(inside, u, 0.0)
    x = a * u
    small = x.abs() < _SERIES_BELOW
    near, far = torch.where(small, x, 0.0), torch.where(small, 1.0, x)
    w = near / (2.0 + near)
    w2 = w * w
    series = 2.0 / (2.0 + near) * (1.0 + w2 * (1 / 3 + w2 * (1 / 5 + w2 * (1 / 7 + w2 / 9))))
    exponent = u * torch.where(small, series, torch.log1p(far) / far)
    weight = torch.where(inside, torch.exp(exponent), 0.0)
    slope = torch.where(inside, torch.exp((1.0 - a) * exponent), 0.0)
    return weight, slope
