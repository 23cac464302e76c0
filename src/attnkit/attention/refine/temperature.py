"""Temperature: how sharp a head looks, learned."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import ones, zeros
from attnkit.attention.part import Dims, Params, ParamSpec, needed
from attnkit.attention.refine.base import Refinement, per_head
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Temperature(Refinement):
    """z'_ts = z_ts * (scale_h + log_scale_h * log n_t), n_t the number of keys that t may see.

    Identity: scale = 1, log_scale = 0. `log_scale` is there with `log_length` alone; it keeps a row as sharp over ten
    thousand keys as over ten.

    Source: Chiang and Cholak (2022), Overcoming a theoretical limitation of self-attention, section 5.3 (log n);
    Nakanishi (2025), Scalable-softmax, eq. 3; Lin et al. (2018) for a learned temperature.
    Cost: one multiplication a pair.
    """

    log_length: bool = False

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`scale` (H,), and `log_scale` (H,) with `log_length`."""
        scale = {"scale": ParamSpec((dims.heads,), ones)}
        return scale | {"log_scale": ParamSpec((dims.heads,), zeros)} if self.log_length else scale

    def on_scores(
        self, scores: Tensor, allowed: Tensor | None, where: Where, params: Params, state: Tensor | None
    ) -> Tensor:
        """scores_BHTS times the head's factor."""
        factor = per_head(needed(params, "scale", self), scores)
        if self.log_length:
            wide = torch.promote_types(scores.dtype, torch.float32)
            visible = torch.ones_like(scores, dtype=torch.bool) if allowed is None else allowed.expand_as(scores)
            log_n = visible.sum(-1, keepdim=True).clamp(min=1).to(wide).log().to(scores.dtype)
            factor = factor + per_head(needed(params, "log_scale", self), scores) * log_n
        return scores * factor

    @property
    def keeps_row_sums(self) -> bool:
        """Scores alone change."""
        return True

    @property
    def keeps_sign(self) -> bool:
        """Scores alone change."""
        return True

    @property
    def rows_read(self) -> tuple[int, int]:
        """None but its own."""
        return 0, 0
