"""Softmax with a sink."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import zeros
from attnkit.attention.normalizer.base import Normalizer, exact, masked
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require


@dataclass(frozen=True)
class Sink(Normalizer):
    """A_ts = exp(z_ts) / (exp(logit) + sum_u exp(z_tu)): a key without a value, which takes what no real key deserves.

    `logit` = 0 is the off-by-one softmax; with None it is learned a head, from 0.

    Raises: ValueError where `logit` is not finite.
    Source: Miller (2023), Attention is off by one; learned: Agarwal et al. (2025), gpt-oss model card, section 2.2.
    Cost: T x (S + 1) exponentials a head.
    """

    logit: float | None = 0.0

    def __post_init__(self) -> None:
        require(self.logit is None or math.isfinite(self.logit), self, "logit", "a finite number")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`logit`: one a head, where none is given."""
        return {} if self.logit is not None else {"logit": ParamSpec((dims.heads,), zeros)}

    def weights(self, scores_BHTS: Tensor, allowed_BHTS: Tensor | None, params: Params) -> Tensor:
        """A_BHTS."""
        z = masked(exact(scores_BHTS), allowed_BHTS)
        if self.logit is None:
            sink = needed(params, "logit", self).to(z.dtype)[:, None, None].expand_as(z[..., :1])
        else:
            sink = torch.full_like(z[..., :1], self.logit)
        return torch.softmax(torch.cat((z, sink), dim=-1), dim=-1)[..., :-1].to(scores_BHTS.dtype)

    @property
    def rows_sum_to_one(self) -> bool:
        """The sink keeps its share."""
        return False
