"""torch's flex_attention, fed with functions made of the operator's parts."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.heads import share_heads
from attnkit.attention.normalizer import Softmax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params, scoped
from attnkit.attention.pattern import Both, Documents, Either, Full, Outside, Segments
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.position.base import DistanceBias, Position
from attnkit.attention.score import SoftCap
from attnkit.attention.score.base import Score
from attnkit.attention.where import Where
from attnkit.kernels.cost import Cost
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.products import is_product, products, turned
from attnkit.kernels.sdpa import results_bytes
from attnkit.kernels.situation import Situation
from attnkit.kernels.toeplitz import is_distance_bias

ScoreMod = Callable[[Tensor, Tensor, Tensor, Tensor, Tensor], Tensor]
MaskMod = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
BLOCK_TOKENS = 128


class Flex(Kernel):
    """Softmax of one product a pair, any soft cap, any pattern, a bias of distance: `flex_attention`, compiled.

    Its functions are generated from the parts: `mask_mod_of` from pattern, padding and documents, `score_mod_of` from
    soft cap and position. Only asked for, never chosen, and for devices that compile it well; the functions themselves
    are held to the reference on any device.

    Source: Dong et al. (2024), Flex attention: a programming model for generating optimized attention kernels.
    """

    name = "flex"
    on_request = True

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """The device first, then the first part that has no function of one pair."""
        if situation.device == "cpu":
            return (
                "on a processor flex_attention gives no gradients, compiles for seconds to a minute at each new "
                "operator, and is slower than `rows` wherever something is added to a score"
            )
        if situation.T is None:
            return "what it compiles is no part of an exported program"
        if situation.dropout:
            return "flex_attention has no dropout"
        return no_functions(spec)

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """All pairs, though blocks that the pattern leaves out are skipped; two tables of blocks."""
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        width = max(situation.width, situation.value_width)
        pairs = situation.batch * situation.heads * situation.T * situation.S
        blocks = -(-situation.T // BLOCK_TOKENS) * -(-situation.S // BLOCK_TOKENS)
        tables = 4 * 4 * blocks * (situation.batch if situation.masked or situation.documents else 1)
        copies = 3 * results_bytes(situation)
        return Cost((7 if situation.needs_grad else 2) * pairs * width, copies + tables)

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        assert isinstance(spec, Pairwise)
        return flexed(spec, call, _compiled())


def no_functions(spec: Attention) -> str | None:
    """The first part that is no function of one score and one pair of places; None where all are."""
    if type(spec) is not Pairwise:
        return f"{type(spec).__name__} is not one softmax over pairs"
    if not is_product(_inner(spec.score)):
        return f"the score {type(_inner(spec.score)).__name__} is not a dot product"
    position = type(spec.position)
    if position.bias is not Position.bias and not is_distance_bias(spec.position):
        return f"the position {position.__name__} adds a bias that is not one of distance"
    if type(spec.normalizer) is not Softmax:
        return f"the normalizer {type(spec.normalizer).__name__} is not the softmax"
    if spec.refine:
        return f"the refinement {type(spec.refine[0]).__name__} acts between score and value"
    return None


def flexed(spec: Pairwise, call: Call, flex: Callable[..., Any]) -> Tensor:
    """out_BHTE by `flex`, which is flex_attention, compiled or not.

    Raises: ValueError where the operator is not made of functions of a pair.
    """
    reason = no_functions(spec)
    if reason:
        raise ValueError(f"flex_attention cannot compute this: {reason}")
    from torch.nn.attention.flex_attention import create_block_mask

    where, heads = call.where, call.q_BHTD.shape[1]
    q, k = turned(spec, call.q_BHTD, share_heads(call.k_BGSD, heads), where, call.params)
    capped = isinstance(spec.score, SoftCap)
    found = products(_inner(spec.score), q, k, where, _inner_params(spec.score, call.params), shift_free=not capped)
    assert found is not None
    q, k, v = found.q_BHTD, found.k_BHSD, share_heads(call.v_BGSE, heads).to(found.q_BHTD.dtype)
    width = max(q.shape[-1], v.shape[-1])
    q, k, v = (F.pad(x, (0, width - x.shape[-1])) for x in (q, k, v))
    mask_mod, blocks = mask_mod_of(spec, where), None
    if mask_mod is not None:
        batch = q.shape[0] if _differs_by_item(where) else None
        blocks = create_block_mask(mask_mod, batch, None, where.T, where.S, device=str(q.device))
    score_mod = score_mod_of(spec, where, call.params, heads, q.dtype)
    out = flex(q, k, v, score_mod=score_mod, block_mask=blocks, scale=found.scale)
    return out[..., : call.v_BGSE.shape[-1]].to(call.v_BGSE.dtype)


def mask_mod_of(spec: Pairwise, where: Where) -> MaskMod | None:
    """mask_mod(b, h, t, s): True where the pair may meet, from pattern, padding and documents; None where all may."""
    if type(spec.pattern) is Full and where.kept is None:
        return None
    rule = _rule(spec.pattern, where)

    def mask_mod(b: Tensor, h: Tensor, t: Tensor, s: Tensor) -> Tensor:
        allowed = rule(b, t, s)
        for keep, place in ((where.keep, s), (where.query_keep, t)):
            if keep is not None:
                allowed = allowed & _place(keep, b, place)
        return allowed

    return mask_mod


def score_mod_of(spec: Pairwise, where: Where, params: Params, heads: int, dtype: torch.dtype) -> ScoreMod | None:
    """score_mod(score, b, h, t, s): the score capped, and the bias of its distance added; None where neither is asked.

    Memory: H x (T + S) numbers for a bias.
    """
    cap = spec.score.cap if isinstance(spec.score, SoftCap) else None
    if cap is None and not is_distance_bias(spec.position):
        return None
    bias_HN, least = None, 0
    if is_distance_bias(spec.position):
        least = int(where.key_position.min() - where.query_position.max())
        most = int(where.key_position.max() - where.query_position.min())
        distances = torch.arange(least, most + 1, device=where.key_position.device)
        assert isinstance(spec.position, DistanceBias)
        bias_HN = spec.position.by_distance(distances, scoped(params, "position"), heads, dtype)

    def score_mod(score: Tensor, b: Tensor, h: Tensor, t: Tensor, s: Tensor) -> Tensor:
        if cap is not None:
            score = cap * torch.tanh(score / cap)
        if bias_HN is None:
            return score
        return score + bias_HN[h, _place(where.key_position, b, s) - _place(where.query_position, b, t) - least]

    return score_mod


def _inner(score: Score) -> Score:
    return score.score if isinstance(score, SoftCap) else score


def _inner_params(score: Score, params: Params) -> Params:
    own = scoped(params, "score")
    return scoped(own, "score") if isinstance(score, SoftCap) else own


def _place(values: Tensor, b: Tensor, place: Tensor) -> Tensor:
    """The entry of a (L,) or (B or 1, L) tensor at one place of one item."""
    if values.dim() == 1:
        return values[place]
    return values[b, place] if values.shape[0] > 1 else values[0][place]


def _rule(pattern: Pattern, where: Where) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """allowed(b, t, s) as a chain of operations on numbers alone: the compiled kernel takes no change of shape."""
    if isinstance(pattern, Both | Either):
        first, second = _rule(pattern.first, where), _rule(pattern.second, where)
        if isinstance(pattern, Both):
            return lambda b, t, s: first(b, t, s) & second(b, t, s)
        return lambda b, t, s: first(b, t, s) | second(b, t, s)
    if isinstance(pattern, Outside):
        inside = _rule(pattern.inner, where)
        return lambda b, t, s: ~inside(b, t, s)
    if isinstance(pattern, Documents):
        queries, keys = where.query_document, where.key_document
        if queries is None or keys is None:
            raise ValueError("Documents needs the document of each query and key and got none")
        return lambda b, t, s: _place(queries, b, t) == _place(keys, b, s)
    if isinstance(pattern, Segments) and pattern.count is not None:
        count, lengths = pattern.count, where.real_lengths.clamp(min=1)[:, None]

        def piece(values: Tensor, b: Tensor, place: Tensor) -> Tensor:
            return _place(values, b, place) * count // _place(lengths, b, torch.zeros_like(place))

        return lambda b, t, s: piece(where.query_position, b, t) == piece(where.key_position, b, s)
    return lambda b, t, s: pattern.allowed(_place(where.query_position, b, t), _place(where.key_position, b, s), where)


def _differs_by_item(where: Where) -> bool:
    given = (where.keep, where.query_keep, where.query_document, where.key_document, where.lengths)
    return any(x is not None for x in (*given,)) or where.query_position.dim() == 2 or where.key_position.dim() == 2


@lru_cache(maxsize=1)
def _compiled() -> Callable[..., Any]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=False)
