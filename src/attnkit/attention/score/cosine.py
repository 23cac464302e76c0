"""Cosine score."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import constant
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.score.base import Score
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Cosine(Score):
    """scores_ts = scale * (q_t . k_s) / (|q_t| |k_s|), `scale` given or learned a head as exp(log_scale), 10 at first.

    A vector of zeros scores zero against everything.

    Raises: ValueError where `scale` is zero or not finite.
    Source: Graves, Wayne and Danihelka (2014), Neural Turing machines, eq. 5 and 6; learned scale: Henry et al. (2020),
        Query-key normalization for transformers; its first value: Liu et al. (2022), Swin Transformer V2, section 3.3.
    Cost: T x S x D multiply-adds a head, and (T + S) x D for the norms.
    """

    scale: float | None = None

    def __post_init__(self) -> None:
        require(self.scale is None or (math.isfinite(self.scale) and self.scale != 0), self, "scale", "a finite number")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`log_scale`: one a head, where no scale is given."""
        return {} if self.scale is not None else {"log_scale": ParamSpec((dims.heads,), constant(math.log(10.0)))}

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        """scores_BHTS."""
        cosine = unit(q_BHTD) @ unit(k_BHSD).transpose(-1, -2)
        if self.scale is not None:
            return cosine * self.scale
        return cosine * needed(params, "log_scale", self).exp().to(cosine.dtype)[:, None, None]


def unit(x: Tensor) -> Tensor:
    """x / |x| on the last axis, zero for a zero vector, with finite gradients there.

    Dividing by the largest entry first keeps the squares from overflowing; the direction does not depend on it, so it
    may count as a constant.
    """
    largest = x.detach().abs().amax(-1, keepdim=True)
    empty = largest == 0
    scaled = x / largest.masked_fill(empty, 1.0)
    squares = scaled.square().sum(-1, keepdim=True).masked_fill(empty, 1.0)
    return scaled * torch.rsqrt(squares)
