"""The fused kernel, a slab of queries at a time: masks and biases of which never more than a slab is there."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import scoped
from attnkit.attention.pattern import Full
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.position.base import Position
from attnkit.attention.where import Where
from attnkit.kernels.cost import Cost
from attnkit.kernels.denormals import flushed
from attnkit.kernels.kernel import Call, Kernel
from attnkit.kernels.lowered import lowered
from attnkit.kernels.partition import HEIGHTS, Slab, partition
from attnkit.kernels.sdpa import as_products, plain_softmax, prepared_bytes, results_bytes
from attnkit.kernels.situation import Situation
from attnkit.kernels.toeplitz import (
    bias_by_distance,
    bias_told_by_distance,
    by_distance_alone,
    is_distance_bias,
    upward_view,
    visible_distances,
)
from attnkit.kernels.twice import twice

_FUSED = "_scaled_dot_product_flash_attention_for_cpu"
_NONE = float("-inf")
# Pairs of a slab whose mask is made, and bytes a pair that rules on positions, in int64, take to make it.
MASK_PAIRS = 1 << 20
RULE_BYTES = 20


class Slabs(Kernel):
    """Softmax of one product a pair, with any pattern, and a bias of distance that learns nothing, ALiBi's for one.

    For each slab of queries torch's fused kernel meets the keys that the slab can reach. What depends on the distance
    j - i alone enters as a strided view of one vector, so that T x S numbers take S + T; other masks are made for the
    slab and made again in the backward pass.

    Source: Dao et al. (2022), FlashAttention, for the fused kernel; the view is a Toeplitz matrix.
    Cost: the fused kernel's on the pairs within reach; memory H x (S + T), or B x rows x S for other masks.
    """

    name = "slabs"
    opaque = True

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """The first thing that the fused kernel cannot be handed slab by slab."""
        reason = plain_softmax(spec)
        if reason:
            return reason
        assert isinstance(spec, Pairwise)
        reason = bias_told_by_distance(spec, situation)
        if reason:
            return reason
        if situation.dropout:
            return "dropout falls on weights that the fused kernel does not show"
        return needs_fused_operator(situation)

    def pays(self, spec: Attention, situation: Situation) -> str | None:
        """Not where there is neither mask nor bias."""
        assert isinstance(spec, Pairwise)
        plain = type(spec.position).bias is Position.bias and type(spec.pattern) is Full
        return "there is neither a mask nor a bias" if plain and not situation.masked else None

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """The pairs within reach, and a slab's mask where it is not a view."""
        assert isinstance(spec, Pairwise)
        assert situation.batch is not None and situation.T is not None and situation.S is not None
        viewed = situation.aligned and by_distance_alone(spec.pattern)
        slabs = _slabs(spec.pattern, situation.T, situation.S, situation.aligned, viewed and not situation.masked)
        width = max(situation.width, situation.value_width)
        passes = 7 if situation.needs_grad else 2
        pairs = sum(slab.pairs for slab in slabs)
        work = passes * situation.batch * situation.heads * pairs * width
        biased = type(spec.position).bias is not Position.bias
        vectors = situation.heads * (situation.T + situation.S) * situation.itemsize if biased else 0
        # The operator's own gradients of a slab stand beside the sums they are added to.
        results = results_bytes(situation) * 5 // 2 + prepared_bytes(spec, situation)
        if viewed and not situation.masked:
            return Cost(work, results + vectors)
        largest = max((slab.pairs for slab in slabs), default=0)
        differs = situation.masked or situation.documents or not situation.aligned
        numbers = largest * (situation.batch if differs else 1)
        mask = numbers * (2 + (situation.heads if biased else 1) * situation.itemsize)
        return Cost(work, results + vectors + mask + largest * RULE_BYTES)

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        assert isinstance(spec, Pairwise)
        call = lowered(call)
        q, k, v, scale = as_products(spec, call)
        masks = Masks.of(spec, call, torch.promote_types(q.dtype, torch.float32))
        out: Tensor = _Slabbed.apply(q, k, v, masks, scale)
        return out[..., : call.v_BGSE.shape[-1]].to(call.v_BGSE.dtype)


def needs_fused_operator(situation: Situation) -> str | None:
    """Why torch's fused operator for the CPU, called by its own name, cannot serve; None where it can."""
    if situation.intent == "export":
        return "an exported graph has no slabs of a size that is not known yet"
    if situation.device != "cpu":
        return f"it stands on torch's fused kernel for the CPU, and the tensors are on {situation.device}"
    if not (hasattr(torch.ops.aten, _FUSED) and hasattr(torch.ops.aten, _FUSED + "_backward")):
        return f"this torch ({torch.__version__}) has no fused operator for the CPU that gives its log sums"
    return None


@dataclass(frozen=True, eq=False)
class Masks:
    """What is added to the scores of a slab: a Toeplitz view, a row for all queries, or numbers made for the slab.

    With `vector_HL` slabs stand upside down, the last query first.
    """

    spec: Pairwise
    where: Where
    slabs: tuple[Slab, ...]
    dtype: torch.dtype
    vector_HL: Tensor | None
    whole: bool

    @staticmethod
    def of(spec: Pairwise, call: Call, dtype: torch.dtype) -> "Masks":
        """The masks of an operator; `whole` where the vector says all."""
        where, T, S = call.where, call.where.T, call.where.S
        told = where.aligned and by_distance_alone(spec.pattern)
        slabs = _slabs(spec.pattern, T, S, where.aligned, told and where.kept is None)
        vector = None
        if is_distance_bias(spec.position):
            own = {name: value.detach() for name, value in scoped(call.params, "position").items()}
            vector = bias_by_distance(spec.position, own, call.q_BHTD.shape[1], T, S, dtype, call.q_BHTD.device)
        if told and (vector is not None or type(spec.pattern) is not Full):
            if vector is None:
                vector = torch.zeros(1, S + T - 1, dtype=dtype, device=call.q_BHTD.device)
            vector = vector.masked_fill(~visible_distances(spec.pattern, T, S, vector.device), _NONE)
        return Masks(spec, where, slabs, dtype, vector, told and where.kept is None)

    @property
    def upward(self) -> bool:
        """True where slabs stand upside down."""
        return self.vector_HL is not None

    def of_slab(self, slab: Slab) -> Tensor | None:
        """(1 or B, 1 or H, 1 or rows, columns); None where every pair may meet and nothing is added."""
        rows, columns = (slab.start, slab.stop), (slab.first, slab.last)
        view = None if self.vector_HL is None else upward_view(self.vector_HL, self.where.T, rows, columns)[None]
        if self.whole:
            return view
        there = self.where.rows(*rows).columns(*columns)
        if view is None and type(self.spec.pattern) is Full and there.query_keep is None and there.keep is not None:
            allowed: Tensor | None = there.keep[:, None, None, :]
        else:
            allowed = self.spec.allowed(there)
        if allowed is None or bool(allowed.all()):
            return view
        hidden = ~allowed.flip(2) if self.upward else ~allowed
        if view is not None:
            return view.masked_fill(hidden, _NONE)
        return torch.zeros(hidden.shape, dtype=self.dtype, device=hidden.device).masked_fill_(hidden, _NONE)


def _slabs(pattern: Pattern, T: int, S: int, aligned: bool, viewed: bool) -> tuple[Slab, ...]:
    """Slabs of any height where masks are views, else of one at which a mask and what makes it stay small."""
    low = tuple(height for height in HEIGHTS if height * S <= MASK_PAIRS) or HEIGHTS[:1]
    return partition(pattern, T, S, aligned, HEIGHTS if viewed else low)


class _Slabbed(torch.autograd.Function):
    """out_BHTW = softmax(scale q k^T + mask) v; slabs are recomputed backwards from the log sums."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, masks: Masks, scale: float) -> Tensor:
        fused = getattr(torch.ops.aten, _FUSED)
        out = torch.zeros_like(q)
        sums = []
        with flushed():
            for slab in masks.slabs:
                if slab.pairs:
                    parts = _parts(q, k, v, slab, masks.upward)
                    result, log_sum = fused(*parts, 0.0, False, attn_mask=masks.of_slab(slab), scale=scale)
                    out[:, :, slab.start : slab.stop] = result.flip(2) if masks.upward else result
                    sums.append(log_sum)
        ctx.save_for_backward(q, k, v, out, *sums)
        ctx.masks, ctx.scale = masks, scale
        return out

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, *sums = ctx.saved_tensors
        masks, scale = ctx.masks, ctx.scale
        if torch.is_grad_enabled():
            return *twice(_whole(q, k, v, masks, scale), (q, k, v), grad, ctx.needs_input_grad), None, None
        fused = getattr(torch.ops.aten, _FUSED + "_backward")
        d_q, d_k, d_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        with flushed():
            met = (slab for slab in masks.slabs if slab.pairs)
            for slab, log_sum in zip(met, sums, strict=True):
                parts = _parts(q, k, v, slab, masks.upward)
                some_grad, some_out = (_rows(x, slab, masks.upward) for x in (grad, out))
                mask = masks.of_slab(slab)
                more = fused(some_grad, *parts, some_out, log_sum, 0.0, False, attn_mask=mask, scale=scale)
                d_q[:, :, slab.start : slab.stop] = more[0].flip(2) if masks.upward else more[0]
                d_k[:, :, slab.first : slab.last] += more[1]
                d_v[:, :, slab.first : slab.last] += more[2]
        return d_q, d_k, d_v, None, None


def _rows(x_BHTD: Tensor, slab: Slab, upward: bool) -> Tensor:
    some = x_BHTD[:, :, slab.start : slab.stop]
    return some.flip(2) if upward else some


def _parts(q: Tensor, k: Tensor, v: Tensor, slab: Slab, upward: bool) -> tuple[Tensor, Tensor, Tensor]:
    return _rows(q, slab, upward), k[:, :, slab.first : slab.last], v[:, :, slab.first : slab.last]


def _whole(q: Tensor, k: Tensor, v: Tensor, masks: Masks, scale: float) -> Tensor:
    """The same by operations that torch can differentiate twice, with the map kept whole."""
    mask = masks.of_slab(Slab(0, q.shape[2], 0, k.shape[2]))
    scores = (q * scale) @ k.transpose(-1, -2)
    if mask is None:
        return torch.softmax(scores, dim=-1) @ v
    mask = mask.flip(2) if masks.upward else mask
    empty = (mask == _NONE).all(-1, keepdim=True)
    scores = scores + mask.masked_fill(empty, 0.0)
    return torch.softmax(scores, dim=-1).masked_fill(empty, 0.0).to(v.dtype) @ v
