"""Euclidean score."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import constant
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.score.base import Score
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Euclidean(Score):
    """scores_ts = -|q_t - k_s|^2 / (2 width^2), `width` given or learned a head as exp(log_width).

    A learned width begins at D^(1/4): keys of equal norm are then weighted as by the scaled dot product.

    Raises: ValueError where `width` is not a finite number above 0.
    Source: Nadaraya (1964), Watson (1964), kernel regression with the Gaussian kernel; in attention: Tsai et al.
        (2019), Transformer dissection, section 3; Kim, Papamakarios and Mnih (2021), L2 self-attention, eq. 5.
    Cost: T x S x D multiply-adds a head, and (T + S) x D for the norms.
    """

    width: float | None = None

    def __post_init__(self) -> None:
        good = self.width is None or (math.isfinite(self.width) and self.width > 0)
        require(good, self, "width", "a finite number above 0")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`log_width`: one a head, where no width is given."""
        if self.width is not None:
            return {}
        return {"log_width": ParamSpec((dims.heads,), constant(0.25 * math.log(dims.width)))}

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        """scores_BHTS by -|q - o|^2 / 2 - |k - o|^2 / 2 + (q - o) . (k - o), over width^2.

        The three terms cancel, so they are taken around an origin o near the data and at least in float32. The first
        real key serves: unlike a mean it lets neither padding nor later keys into a row.
        """
        q, k = centered(q_BHTD, k_BHSD, where)
        fit = q @ k.transpose(-1, -2) - 0.5 * (q.square().sum(-1)[..., :, None] + k.square().sum(-1)[..., None, :])
        if self.width is not None:
            return (fit / self.width**2).to(q_BHTD.dtype)
        log_width = needed(params, "log_width", self).to(fit.dtype)[:, None, None]
        return (fit * torch.exp(-2.0 * log_width)).to(q_BHTD.dtype)


def centered(q_BHTD: Tensor, k_BHSD: Tensor, where: Where) -> tuple[Tensor, Tensor]:
    """Both less the first real key, in at least float32; the origin counts as a constant."""
    exact = torch.float64 if q_BHTD.dtype == torch.float64 else torch.float32
    q, k = q_BHTD.to(exact), k_BHSD.to(exact)
    if where.keep is None:
        origin = k[..., :1, :].detach()
    else:
        first = where.keep.to(torch.int32).argmax(-1)[:, None, None, None]
        origin = k.detach().gather(2, first.expand(k.shape[0], k.shape[1], 1, k.shape[3]))
    return q - origin, k - origin
