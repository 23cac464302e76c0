"""Talking heads: the heads mix what they score and what they weigh."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import identity
from attnkit.attention.part import Dims, Params, ParamSpec, needed
from attnkit.attention.refine.base import Refinement
from attnkit.attention.where import Where


@dataclass(frozen=True)
class TalkingHeads(Refinement):
    """z'_h = sum_g z_g * score_mix_gh before the normalizer, A'_h = sum_g A_g * weight_mix_gh after it.

    Identity: both matrices the identity. With `scores` or `weights` off that side's mixing is not there.

    Raises: ValueError where neither side is mixed.
    Source: Shazeer et al. (2020), Talking-heads attention, section 3.
    Cost: 2 x H^2 multiply-adds a pair.
    """

    scores: bool = True
    weights: bool = True

    def __post_init__(self) -> None:
        if not (self.scores or self.weights):
            raise ValueError("TalkingHeads must mix scores or weights or both; got scores=False and weights=False")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`score_mix` (H, H) and `weight_mix` (H, H), from head g (row) to head h (column)."""
        mixed = [name for name, on in (("score_mix", self.scores), ("weight_mix", self.weights)) if on]
        return {name: ParamSpec((dims.heads, dims.heads), identity) for name in mixed}

    def on_scores(
        self, scores: Tensor, allowed: Tensor | None, where: Where, params: Params, state: Tensor | None
    ) -> Tensor:
        """scores_BHTS mixed over heads."""
        return self._mix(scores, needed(params, "score_mix", self)) if self.scores else scores

    def on_weights(
        self, weights: Tensor, allowed: Tensor | None, where: Where, params: Params, state: Tensor | None
    ) -> Tensor:
        """A_BHTS mixed over heads."""
        return self._mix(weights, needed(params, "weight_mix", self)) if self.weights else weights

    def _mix(self, x_BGTS: Tensor, mix_GH: Tensor) -> Tensor:
        return torch.einsum("bgts,gh->bhts", x_BGTS, mix_GH.to(x_BGTS.dtype))

    @property
    def keeps_row_sums(self) -> bool:
        """True where scores alone are mixed."""
        return not self.weights

    @property
    def keeps_sign(self) -> bool:
        """True where scores alone are mixed."""
        return not self.weights

    @property
    def rows_read(self) -> tuple[int, int]:
        """None but its own."""
        return 0, 0
