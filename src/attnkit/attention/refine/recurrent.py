"""Recurrent refinement: a layer begins from what the layer below looked at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import zeros
from attnkit.attention.part import Dims, Params, ParamSpec, needed
from attnkit.attention.refine.base import Refinement, per_head
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Recurrent(Refinement):
    """A'_ts = A_ts + gate_h * (L_ts - A_ts), L the map of the layer below, handed in as `state` (B, H or 1, T, S).

    What L holds on pairs that may not meet here moves to those that may, so that its rows keep their weight; a row of
    which nothing is left, or of the first layer (no state), stays A. Identity: gate = 0.

    Raises: ValueError where the state is not a map of this layer's size.
    Source: Wang et al. (2021), Evolving attention with residual convolutions, eq. 3;
    He et al. (2021), RealFormer, for the path between layers.
    Cost: a few operations a pair.
    """

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`gate` (H,)."""
        return {"gate": ParamSpec((dims.heads,), zeros)}

    def on_weights(
        self, weights: Tensor, allowed: Tensor | None, where: Where, params: Params, state: Tensor | None
    ) -> Tensor:
        """A_BHTS drawn towards the lower layer's rows."""
        if state is None:
            return weights
        if state.dim() != 4 or state.shape[-2:] != weights.shape[-2:] or state.shape[1] not in (1, weights.shape[1]):
            raise ValueError(
                f"Recurrent needs the lower layer's map as (B, {weights.shape[1]} or 1, {weights.shape[2]}, "
                f"{weights.shape[3]}) and got {tuple(state.shape)}; give both layers the same heads and tokens"
            )
        lower = state if allowed is None else state.masked_fill(~allowed, 0.0)
        left = lower.sum(-1, keepdim=True)
        lower = lower * (state.sum(-1, keepdim=True) / left.masked_fill(left == 0, 1.0))
        step = torch.where(left == 0, 0.0, lower - weights)
        return weights + per_head(needed(params, "gate", self), weights) * step

    @property
    def keeps_row_sums(self) -> bool:
        """Between two rows that sum to one lie rows that sum to one."""
        return True

    @property
    def needs_state(self) -> bool:
        """True by definition."""
        return True

    @property
    def rows_read(self) -> tuple[int, int]:
        """None but its own."""
        return 0, 0
