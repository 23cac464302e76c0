"""Plain softmax attention on PyTorch's fused kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.heads import share_heads
from attnkit.attention.normalizer import Softmax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import scoped
from attnkit.attention.pattern import Causal, Full
from attnkit.attention.position.base import Position
from attnkit.attention.score import Dot, ScaledDot
from attnkit.kernels.cost import Cost
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.situation import Situation


class SDPA(Kernel):
    """(Scaled) dot, softmax, any pattern, any position that turns q and k: `F.scaled_dot_product_attention`.

    `is_causal` is used only where its top-left alignment is ours (T = S, default positions). A query that sees
    nothing is shown everything and its row is zeroed afterwards, so that no backend can make NaN or a mean of it.
    """

    name = "sdpa"

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """The first part of the operator, or of the situation, that torch's kernel does not know."""
        # Exact types: what a user's own class derived from one of these changes, torch's kernel would not see.
        if type(spec) is not Pairwise:
            return f"{type(spec).__name__} is not one softmax over pairs"
        if type(spec.score) not in (Dot, ScaledDot):
            return f"the score {type(spec.score).__name__} is not a dot product"
        if type(spec.position).bias is not Position.bias:
            return f"the position {type(spec.position).__name__} adds a bias"
        if type(spec.normalizer) is not Softmax:
            return f"the normalizer {type(spec.normalizer).__name__} is not the softmax"
        if spec.refine:
            return f"the refinement {type(spec.refine[0]).__name__} acts between score and value"
        if situation.dropout:
            return "dropout makes torch keep the whole map, and takes no generator"
        return None

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """Half the pairs where torch skips those after the diagonal; no map."""
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        assert isinstance(spec, Pairwise)
        B, H, T, S = situation.batch, situation.heads, situation.T, situation.S
        D, E = situation.width, situation.value_width
        pairs = B * H * T * S
        if type(spec.pattern) is Causal and T == S and situation.aligned and not situation.masked:
            pairs //= 2
        passes = 7 if situation.needs_grad else 2
        results = B * H * (T * E + (T * D + S * (D + E) if situation.needs_grad else 0)) * situation.itemsize
        return Cost(passes * pairs * (D + E) // 2, results)

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        assert isinstance(spec, Pairwise)
        where, position = call.where, scoped(call.params, "position")
        heads = call.q_BHTD.shape[1]
        q = spec.position.turn(call.q_BHTD, where.query_position, position)
        k = spec.position.turn(share_heads(call.k_BGSD, heads), where.key_position, position)
        v = share_heads(call.v_BGSE, heads)
        scale = 1.0 if isinstance(spec.score, Dot) else spec.score.scale if isinstance(spec.score, ScaledDot) else None
        exporting = torch.compiler.is_exporting()
        square = not exporting and q.shape[2] == k.shape[2]
        if type(spec.pattern) is Causal and where.aligned and where.kept is None and square:
            return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        allowed = spec.allowed(where)
        if allowed is None:
            return F.scaled_dot_product_attention(q, k, v, scale=scale)
        if type(spec.pattern) is Full and where.keep is not None:
            # Keys alone decide here, so the mask is one row per batch item rather than one per query.
            allowed = where.keep[:, None, None, :]
        sees = allowed.any(-1, keepdim=True)
        opened = (allowed | ~sees).expand(-1, -1, q.shape[2], k.shape[2])
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=opened, scale=scale)
        out = out.masked_fill(~sees, 0.0)
        return out if where.query_keep is None else out.masked_fill(~where.query_keep[:, None, :, None], 0.0)
