"""Adaptive span: how far back a head looks, learned."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import ones
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.refine.base import Refinement
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Span(Refinement):
    """A'_ts = m(x_ts) A_ts * sum_u A_tu / sum_u m(x_tu) A_tu, m(x) = clamp((R + z_h - x) / R, 0, 1).

    R = `ramp_tokens`, z_h = `max_tokens` * clamp(span_h, 0, 1). The distance x_ts = |i - j| counts from the nearest key
    that t attends to (the token itself in self-attention), so that no row loses all its weight, and stops counting at
    `max_tokens`. Identity: span = 1, where m = 1 everywhere. A head's span shortens only if the loss asks for it:
    add a penalty on `span`, as its authors do.

    Raises: ValueError where `max_tokens` or `ramp_tokens` is below one.
    Source: Sukhbaatar et al. (2019), Adaptive attention span in transformers, eq. 3 and 5.
    Cost: a few operations a pair.
    """

    max_tokens: int = 1024
    ramp_tokens: int = 32

    def __post_init__(self) -> None:
        require(self.max_tokens >= 1, self, "max_tokens", "at least 1")
        require(self.ramp_tokens >= 1, self, "ramp_tokens", "at least 1")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`span` (H,), as a share of `max_tokens`."""
        return {"span": ParamSpec((dims.heads,), ones)}

    def on_weights(
        self, weights: Tensor, allowed: Tensor | None, where: Where, params: Params, state: Tensor | None
    ) -> Tensor:
        """A_BHTS within the span, each row as heavy as it was."""
        distance = (where.i - where.j).abs().expand_as(weights)
        unseen = weights == 0
        nearest = distance.masked_fill(unseen, torch.iinfo(torch.int64).max).amin(-1, keepdim=True)
        # Tokens are counted in at least float32: bfloat16 cannot tell 1000 from 1003.
        wide = torch.promote_types(weights.dtype, torch.float32)
        x = (distance - nearest).clamp(max=self.max_tokens).to(wide)
        z = self.max_tokens * needed(params, "span", self).to(wide).clamp(0.0, 1.0)[:, None, None]
        near = weights * (1.0 + (z - x) / self.ramp_tokens).clamp(0.0, 1.0).to(weights.dtype)
        left = near.sum(-1, keepdim=True)
        return near * (weights.sum(-1, keepdim=True) / left.masked_fill(left == 0, 1.0))

    @property
    def keeps_row_sums(self) -> bool:
        """What is left of a row takes over the weight of the rest."""
        return True

    @property
    def keeps_sign(self) -> bool:
        """No factor is below zero where no weight is."""
        return True

    @property
    def order_free(self) -> bool:
        """Distance counts."""
        return False

    @property
    def rows_read(self) -> tuple[int, int]:
        """None but its own."""
        return 0, 0
