"""The reference kernel: the operator's own dense mathematics, for every operator and situation."""

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.factored import CausalLinear, Linformer, Nystrom, Performer
from attnkit.attention.factored.base import Factored
from attnkit.attention.heads import share_heads
from attnkit.kernels.cost import Cost
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.situation import Situation


class Reference(Kernel):
    """out = dropout(A) @ v, with A_BHTS kept whole: right everywhere, T x S in memory.

    Dropout falls on the weights, after normalization: a weight stays with probability 1 - p and is scaled by
    1 / (1 - p). Source: Vaswani et al. (2017), section 5.4; Srivastava et al. (2014).
    """

    name = "reference"

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """Always."""
        return None

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """A map, and what its normalization and its gradient hold beside it; factored operators build none."""
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        B, H, T, S = situation.batch, situation.heads, situation.T, situation.S
        D, E = situation.width, situation.value_width
        results = B * H * (T * E + (T * D + S * (D + E) if situation.needs_grad else 0)) * situation.itemsize
        passes = 3 if situation.needs_grad else 1
        if isinstance(spec, Factored) and not situation.dropout:
            held = B * H * (T + S) * _numbers_a_token(spec, D, E) * max(4, situation.itemsize)
            return Cost(passes * B * H * (T + S) * D * E, results + int(held if situation.needs_grad else held / 2))
        maps = (4 if situation.needs_grad else 2) + situation.dropout
        whole = maps * B * H * T * S * situation.itemsize
        return Cost(passes * B * H * T * S * (D + E), results + whole, whole)

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE; operators that mix without a map do so unless dropout asks for one."""
        if call.dropout == 0:
            return spec.mix(call.q_BHTD, call.k_BGSD, call.v_BGSE, call.where, call.params, call.state)
        weights = spec.matrix(call.q_BHTD, call.k_BGSD, call.where, call.params, call.state)
        return dropped(weights, call.dropout, call.generator) @ share_heads(call.v_BGSE, call.q_BHTD.shape[1])


def dropped(weights: Tensor, p: float, generator: torch.Generator | None) -> Tensor:
    """Weights with a share p of them dropped at random and the rest scaled so that the mean stays."""
    stays = torch.empty_like(weights).bernoulli_(1.0 - p, generator=generator)
    return weights * stays / (1.0 - p)


def _numbers_a_token(spec: Factored, D: int, E: int) -> float:
    """Numbers that autograd holds of a factored operator for each query or key of a head, measured at 8,192 tokens."""
    if isinstance(spec, Performer):
        return 3.5 * spec.features
    if isinstance(spec, Nystrom):
        return 3.0 * spec.landmarks + D
    if isinstance(spec, Linformer):
        return 4.0 * spec.rank
    if isinstance(spec, CausalLinear):
        return 8.0 * (D + E) + D * E / 32
    return 4.5 * D
