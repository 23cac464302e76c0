"""Key padding as slices: each item meets its real keys and no others, where their numbers are given."""

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Full
from attnkit.attention.position.base import Position
from attnkit.kernels.cost import Cost
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.sdpa import as_products, plain_softmax, results_bytes
from attnkit.kernels.situation import Situation

# Below so many pairs an item, all heads counted, one call for all with a mask is sooner than one call an item.
SMALLEST = 1 << 18


class Lengths(Kernel):
    """Softmax of one product a pair over the first n_b keys of each item b: a mask of them would save nothing.

    Cost: the fused kernel's on the real keys.
    """

    name = "lengths"
    opaque = True

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """Only where keys come first and padding behind them, and is all that is hidden."""
        if not situation.lengths:
            return "no numbers of real keys were given (Where.of(..., lengths=...))"
        reason = plain_softmax(spec)
        if reason:
            return reason
        assert isinstance(spec, Pairwise)
        if type(spec.position).bias is not Position.bias:
            return f"the position {type(spec.position).__name__} adds a bias"
        if type(spec.pattern) is not Full:
            return f"the pattern {type(spec.pattern).__name__} hides more than padding"
        if situation.dropout:
            return "dropout falls on weights that the fused kernel does not show"
        return "an exported graph cannot slice by numbers that it reads" if situation.intent == "export" else None

    def concerns(self, spec: Attention, situation: Situation) -> bool:
        """Calls with padding."""
        return situation.keep

    def pays(self, spec: Attention, situation: Situation) -> str | None:
        """Not for items that are short."""
        assert situation.T is not None and situation.S is not None
        pairs = situation.heads * situation.T * situation.S
        if pairs < SMALLEST:
            return f"the map of an item has {pairs} numbers only, and one call for all is sooner"
        return None

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """As if no key were padding: how many are is not known before the call."""
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        pairs = situation.batch * situation.heads * situation.T * situation.S
        width = max(situation.width, situation.value_width)
        return Cost(pairs * width * (7 if situation.needs_grad else 2), 2 * results_bytes(situation))

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        assert isinstance(spec, Pairwise) and call.where.lengths is not None
        q, k, v, scale = as_products(spec, call)
        counts = call.where.lengths.clamp(max=k.shape[2]).expand(q.shape[0]).tolist()
        items = zip(q.split(1), k.split(1), v.split(1), counts, strict=True)
        out = torch.cat([_item(*item, scale) for item in items])
        if call.where.query_keep is not None:
            out = out.masked_fill(~call.where.query_keep[:, None, :, None], 0.0)
        return out[..., : call.v_BGSE.shape[-1]].to(call.v_BGSE.dtype)


def _item(q: Tensor, k: Tensor, v: Tensor, count: int, scale: float) -> Tensor:
    if count == 0:
        # Zeros that gradients of zero flow through.
        return q.masked_fill(torch.ones((), dtype=torch.bool, device=q.device), 0.0)
    return F.scaled_dot_product_attention(q, k[:, :, :count], v[:, :, :count], scale=scale)
