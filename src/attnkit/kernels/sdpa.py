"""Plain softmax attention, and what comes down to it, in one call of PyTorch's fused kernel."""

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.heads import share_heads
from attnkit.attention.normalizer import Softmax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import scoped
from attnkit.attention.pattern import Causal, Full
from attnkit.attention.position import Rotary
from attnkit.attention.position.base import Position
from attnkit.attention.score import Cosine, Euclidean, General, Location
from attnkit.kernels.cost import Cost
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.products import is_product, products, turned
from attnkit.kernels.situation import Situation

# A mask of this many numbers is kept whole; a longer one is made a slab at a time by the kernel `slabs`.
MASK_LIMIT = 1 << 20


class SDPA(Kernel):
    """Softmax of one product a pair, any pattern, any position that turns: `F.scaled_dot_product_attention`.

    Cosine, general and location scores become products of other queries and keys, the Euclidean one of queries and keys
    with one more column; queries, keys and values of different widths are filled up with zeros. `is_causal` is used
    only where its top-left alignment is ours (T = S, default positions). A query that sees nothing is shown everything
    and its row is zeroed afterwards, so that no backend can make NaN or a mean of it.
    """

    name = "sdpa"

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """The first part of the operator, or of the situation, that torch's kernel does not know."""
        reason = plain_softmax(spec)
        if reason:
            return reason
        assert isinstance(spec, Pairwise)
        if type(spec.position).bias is not Position.bias:
            return f"the position {type(spec.position).__name__} adds a bias"
        if situation.dropout:
            return "dropout makes torch keep the whole map, and takes no generator"
        return None

    def pays(self, spec: Attention, situation: Situation) -> str | None:
        """Not where a large mask would have to be kept."""
        assert isinstance(spec, Pairwise)
        numbers = _mask_numbers(spec, situation)
        if numbers > MASK_LIMIT and situation.device == "cpu":
            return f"its mask would be kept whole, {numbers * situation.itemsize / 2**20:.0f} MiB"
        return None

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """Half the pairs where torch skips those after the diagonal; no map."""
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        assert isinstance(spec, Pairwise)
        pairs = situation.batch * situation.heads * situation.T * situation.S
        if _square_causal(spec, situation):
            pairs //= 2
        width = max(situation.width, situation.value_width)
        passes = 7 if situation.needs_grad else 2
        mask = _mask_numbers(spec, situation) * (situation.itemsize + 2)
        return Cost(passes * pairs * width, results_bytes(situation) + prepared_bytes(spec, situation) + mask, mask)

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        assert isinstance(spec, Pairwise)
        where = call.where
        q, k, v, scale = as_products(spec, call)
        exporting = torch.compiler.is_exporting()
        square = not exporting and q.shape[2] == k.shape[2]
        if type(spec.pattern) is Causal and where.aligned and where.kept is None and square:
            out = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
        else:
            out = self._masked(spec, call, q, k, v, scale)
        return out[..., : call.v_BGSE.shape[-1]].to(call.v_BGSE.dtype)

    def _masked(self, spec: Pairwise, call: Call, q: Tensor, k: Tensor, v: Tensor, scale: float) -> Tensor:
        where = call.where
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


def plain_softmax(spec: Attention) -> str | None:
    """Why the operator is not the softmax of one product a pair, plus a bias perhaps; None where it is."""
    # Exact types: what a user's own class derived from one of these changes, torch's kernel would not see.
    if type(spec) is not Pairwise:
        return f"{type(spec).__name__} is not one softmax over pairs"
    if not is_product(spec.score):
        return f"the score {type(spec.score).__name__} is not a dot product"
    if type(spec.normalizer) is not Softmax:
        return f"the normalizer {type(spec.normalizer).__name__} is not the softmax"
    if spec.refine:
        return f"the refinement {type(spec.refine[0]).__name__} acts between score and value"
    return None


def as_products(spec: Pairwise, call: Call) -> tuple[Tensor, Tensor, Tensor, float]:
    """q_BHTW, k_BHSW, v_BHSW and the scale, W the widest of the three."""
    heads = call.q_BHTD.shape[1]
    q, k = turned(spec, call.q_BHTD, share_heads(call.k_BGSD, heads), call.where, call.params)
    found = products(spec.score, q, k, call.where, scoped(call.params, "score"), shift_free=True)
    assert found is not None
    q, k = found.q_BHTD, found.k_BHSD
    v = share_heads(call.v_BGSE, heads).to(q.dtype)
    missing = v.shape[-1] - q.shape[-1]
    if missing > 0:
        q, k = F.pad(q, (0, missing)), F.pad(k, (0, missing))
    elif missing < 0:
        v = F.pad(v, (0, -missing))
    # torch's operator, called by its own name, reads other layouts wrongly.
    q, k, v = (x if x.stride(-1) == 1 else x.contiguous() for x in (q, k, v))
    return q, k, v, found.scale


def results_bytes(situation: Situation) -> int:
    """Bytes of out_BHTE, and of the gradients of q, k and v where they are wanted."""
    assert situation.batch is not None and situation.T is not None and situation.S is not None
    T, S, D, E = situation.T, situation.S, situation.width, situation.value_width
    numbers = situation.heads * T * E
    if situation.needs_grad:
        numbers += situation.heads * T * D + situation.key_heads * S * (D + E)
    return situation.batch * numbers * situation.itemsize


def prepared_bytes(spec: Pairwise, situation: Situation) -> int:
    """Bytes of the queries, keys and values that `as_products` makes of those given, and of their gradients."""
    assert situation.batch is not None and situation.T is not None and situation.S is not None
    T, S, D, E = situation.T, situation.S, situation.width, situation.value_width
    wider = 1 if type(spec.score) is Euclidean else 0
    width = max(D + wider, E)
    other_scores = type(spec.score) in (Cosine, Euclidean, General, Location)
    shared = situation.key_heads != situation.heads
    numbers = 0
    if type(spec.position).turn is not Position.turn or other_scores or width != D:
        numbers += (T + S) * width
    elif shared:
        numbers += S * D
    if shared or width != E:
        numbers += S * width + (T * width if width != E else 0)
    size = max(situation.itemsize, 4) if other_scores else situation.itemsize
    # What autograd holds of the steps on the way, as measured.
    held = 5 if type(spec.score) is Cosine else 4 if type(spec.position) is Rotary else 2
    return situation.batch * situation.heads * numbers * size * (held if situation.needs_grad else 1)


def _square_causal(spec: Pairwise, situation: Situation) -> bool:
    return (
        type(spec.pattern) is Causal
        and situation.T == situation.S
        and situation.T is not None
        and situation.aligned
        and not situation.masked
    )


def _mask_numbers(spec: Pairwise, situation: Situation) -> int:
    """Numbers in the mask that torch would keep."""
    if situation.batch is None or situation.T is None or situation.S is None or _square_causal(spec, situation):
        return 0
    if type(spec.pattern) is Full:
        return situation.batch * situation.S if situation.masked else 0
    # Documents, and positions that were given, may differ from item to item.
    differs = situation.masked or situation.documents or not situation.aligned
    return situation.T * situation.S * (situation.batch if differs else 1)
