"""Head gate: how much a head counts, learned."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.init import ones
from attnkit.attention.part import Dims, Params, ParamSpec, needed
from attnkit.attention.refine.base import Refinement, per_head
from attnkit.attention.where import Where


@dataclass(frozen=True)
class HeadGate(Refinement):
    """A'_ts = max(gate_h, 0) * A_ts: a head whose gate falls to zero is off and can be pruned.

    Identity: gate = 1.

    Source: Michel et al. (2019), Are sixteen heads really better than one?, section 2.3; Voita et al. (2019), eq. 3.
    Cost: one multiplication a pair.
    """

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`gate` (H,)."""
        return {"gate": ParamSpec((dims.heads,), ones)}

    def on_weights(
        self, weights: Tensor, allowed: Tensor | None, where: Where, params: Params, state: Tensor | None
    ) -> Tensor:
        """A_BHTS times the head's gate."""
        return weights * per_head(needed(params, "gate", self), weights).clamp(min=0.0)

    @property
    def keeps_sign(self) -> bool:
        """No gate is below zero."""
        return True

    @property
    def rows_read(self) -> tuple[int, int]:
        """None but its own."""
        return 0, 0
