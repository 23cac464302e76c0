"""Functionals: sums over the rows and over the columns of a map that is never built."""

from collections.abc import Callable, Iterator
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.heads import share_heads
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params, scoped
from attnkit.attention.position.base import Position
from attnkit.attention.where import Where
from attnkit.kernels.attend import VASWANI, attend
from attnkit.kernels.kernel import Call
from attnkit.kernels.partition import partition
from attnkit.kernels.products import products, turned
from attnkit.kernels.rows.engine import Job
from attnkit.kernels.rows.kernel import Rows
from attnkit.kernels.rows.place import HEIGHTS, SLAB_NUMBERS, STARTING_PAIRS, Place, Space
from attnkit.kernels.rows.program import program
from attnkit.kernels.sdpa import plain_softmax
from attnkit.kernels.situation import Situation
from attnkit.kernels.slabs import Masks, needs_fused_operator
from attnkit.kernels.toeplitz import is_distance_bias

# Columns of one call where the heads are narrower: to fill queries and keys up with zeros is sooner than two calls.
WIDTH = 64


P = ParamSpec("P")
R = TypeVar("R")


def exact(function: Callable[P, R]) -> Callable[P, R]:
    """A function of `q_BHTD` and others, nothing of it recorded for gradients or lowered by autocast."""

    @wraps(function)
    def undisturbed(*args: P.args, **kwargs: P.kwargs) -> R:
        q = args[0] if args else kwargs["q_BHTD"]
        assert isinstance(q, Tensor)
        with torch.no_grad(), torch.autocast(q.device.type, enabled=False):
            return function(*args, **kwargs)

    return undisturbed


@exact
def row_functional(
    q_BHTD: Tensor,
    k_BGSD: Tensor,
    values: Tensor,
    spec: Attention = VASWANI,
    *,
    where: Where | None = None,
    params: Params | None = None,
    state: Tensor | None = None,
) -> Tensor:
    """out_BHTW = sum_s A_BHTS values_sw, for any operator; `values` is (S, W), (B, S, W) or (B, G, S, W).

    Raises: ValueError where shapes do not fit together.
    Cost: one call of attention for every D values, or 64 where D is less; no map.
    """
    call = wide_call(q_BHTD, k_BGSD, where, params, state)
    return _mixed(spec, call, spread_values(call, values))


@exact
def column_functional(
    q_BHTD: Tensor,
    k_BGSD: Tensor,
    asked: Tensor,
    spec: Attention = VASWANI,
    *,
    where: Where | None = None,
    params: Params | None = None,
    state: Tensor | None = None,
) -> Tensor:
    """out_BHSW = sum_t A_BHTS asked_tw, what each key gives to queries; `asked` is (T, W), (B, T, W) or (B, H, T, W).

    It is the gradient of the values where `asked` is that of the output. Pairwise operators go slab by slab, without
    the forward pass and the other gradients; any other through its own kernel's backward pass.

    Raises: ValueError where shapes do not fit together.
    Cost: about 1.2 times a forward pass of fused attention for W = 64, or the forward and backward pass; no map.
    """
    call = wide_call(q_BHTD, k_BGSD, where, params, state)
    B, H, T, _ = call.q_BHTD.shape
    asked = _spread(asked, B, H, T, "asked", "T").to(call.q_BHTD.dtype)
    if not in_slabs(spec, call):
        return _by_gradient(spec, call, asked)
    out = call.q_BHTD.new_zeros(B, H, asked.shape[-1], call.where.S)
    for place, weights in weight_slabs(spec, call):
        some = place.of_heads(out)[:, :, place.columns]
        # W rows of S numbers: the product that adds to them reads the slab as it lies.
        some.baddbmm_(place.of_heads(asked)[:, place.core].mT, weights)
    return out.mT


@torch.no_grad()
def mixed_with_entropy(spec: Attention, call: Call, values_BGSW: Tensor) -> tuple[Tensor, Tensor]:
    """(sum_s A_ts values_s, -sum_s p_ts log p_ts) with p = A_ts / sum_u A_tu, as (B, H, T, W) and (B, H, T).

    Where the map is a softmax of products and nothing is added to them, log p_ts = scale q_t . k_s - lse_t, so that the
    entropy is lse_t - scale q_t . E_p[k]: keys are mixed beside the values, and no logarithm of a pair is taken.

    Raises: ValueError where weights may be negative, and so are no shares.
    """
    if not spec.claims().nonnegative:
        raise ValueError(f"entropy is of weights that are not negative, and {spec} does not claim that its are")
    if _is_fused(spec, call):
        assert isinstance(spec, Pairwise)
        return _fused(spec, call, values_BGSW)
    B, H, T, _ = call.q_BHTD.shape
    total, negated = (call.q_BHTD.new_zeros(B, H, T) for _ in range(2))
    if in_slabs(spec, call):
        mixed = call.q_BHTD.new_zeros(B, H, T, values_BGSW.shape[-1])
        values = share_heads(values_BGSW, H)
        for place, weights in weight_slabs(spec, call):
            place.of_heads(mixed)[:, place.core] = torch.bmm(weights, place.of_heads(values)[:, place.columns])
            place.of_heads(total)[:, place.core] = weights.sum(-1)
            place.of_heads(negated)[:, place.core] = torch.special.xlogy(weights, weights).sum(-1)
    else:
        mixed = _mixed(spec, call, values_BGSW)
        for _, weights in weight_columns(spec, call):
            total += weights.sum(-1)
            negated += torch.special.xlogy(weights, weights).sum(-1)
    # -sum p log p = log m - (sum A log A) / m with m the row's sum.
    there = total > 0
    safe = total.masked_fill(~there, 1.0)
    return mixed, (safe.log() - negated / safe).clamp(min=0.0).masked_fill(~there, 0.0)


def in_slabs(spec: Attention, call: Call) -> bool:
    """True where each row of the map can be made from its own query and a few beside it."""
    values = call.v_BGSE
    return Rows().fits(spec, Situation.of(call.q_BHTD, call.k_BGSD, values, call.where)) is None


def weight_slabs(spec: Attention, call: Call) -> Iterator[tuple[Place, Tensor]]:
    """Every slab of the map, its weights (heads, core rows, columns) in a workspace that the next slab writes over."""
    assert isinstance(spec, Pairwise)
    where = call.where
    heights = tuple(height for height in HEIGHTS if height * where.S <= SLAB_NUMBERS) or HEIGHTS[:1]
    # Keys out of reach are left out only where it is sure that no part could miss them.
    narrow = where.aligned and plain_softmax(spec) is None
    slabs = partition(spec.pattern, where.T, where.S, narrow, heights, STARTING_PAIRS)
    read = [part.rows_read or (0, 0) for part in spec.refine]
    beyond = sum(above for above, _ in read), sum(below for _, below in read)
    job = Job(spec, where, tuple(call.params), 0.0, None, slabs, beyond, False)
    made = program(spec, call, None, False)
    space = Space(made.v_BHSE.dtype, made.v_BHSE.device)
    for place in job.places(made, call.q_BHTD.shape[1]):
        weights = space.take("scores", (0, 0, 0))
        for stage in made.stages:
            weights = stage.forward(weights, place, space, False)
        yield place, weights[:, place.within]


def weight_columns(spec: Attention, call: Call) -> Iterator[tuple[slice, Tensor]]:
    """The map some columns at a time, (B, H, T, columns), for any operator: columns of one are read off mixed ones."""
    S = call.where.S
    width = max(call.q_BHTD.shape[-1], WIDTH)
    for start in range(0, S, width):
        some = slice(start, min(start + width, S))
        ones = torch.eye(S, some.stop - some.start, dtype=call.q_BHTD.dtype, device=call.q_BHTD.device)
        yield some, _mixed(spec, call, spread_values(call, ones.roll(start, 0)))


def wide_call(q: Tensor, k: Tensor, where: Where | None, params: Params | None, state: Tensor | None) -> Call:
    """A call without values, in at least float32 whatever the model runs in: bfloat16 cannot count to a thousand."""
    wide = torch.promote_types(q.dtype, torch.float32)
    if where is None:
        where = Where.of(q.shape[2], k.shape[2], device=q.device)
    named = {name: value.to(wide) for name, value in (params or {}).items()}
    return Call(q.to(wide), k.to(wide), k[..., :1].to(wide), where, named, None if state is None else state.to(wide))


def _spread(x: Tensor, B: int, heads: int, length: int, name: str, letter: str) -> Tensor:
    """(L, W), (B, L, W) or (B, heads, L, W) as the last."""
    if not 2 <= x.dim() <= 4 or x.shape[-2] != length:
        raise ValueError(f"{name} must be ({letter}, W), (B, {letter}, W) or (B, heads, {letter}, W); got {x.shape}")
    whole = x[None] if x.dim() == 2 else x
    return (whole if whole.dim() == 4 else whole[:, None]).expand(B, heads, -1, -1)


def spread_values(call: Call, values: Tensor) -> Tensor:
    """(S, W), (B, S, W) or (B, G, S, W) as the last, in the call's type."""
    B, G, S, _ = call.k_BGSD.shape
    return _spread(values, B, G, S, "values", "S").to(call.q_BHTD.dtype)


def _mixed(spec: Attention, call: Call, values_BGSW: Tensor) -> Tensor:
    parts = values_BGSW.split(max(call.q_BHTD.shape[-1], WIDTH), dim=-1)
    return torch.cat([_attended(spec, call, call.k_BGSD, part) for part in parts], dim=-1)


def _attended(spec: Attention, call: Call, k: Tensor, v: Tensor) -> Tensor:
    return attend(call.q_BHTD, k, v, spec, where=call.where, params=call.params, state=call.state)


def _by_gradient(spec: Attention, call: Call, asked_BHTW: Tensor) -> Tensor:
    # Heads that share values would share their gradient.
    k = share_heads(call.k_BGSD, call.q_BHTD.shape[1])
    found: list[Tensor] = []
    with torch.enable_grad():
        for part in asked_BHTW.split(max(k.shape[-1], WIDTH), dim=-1):
            v = k.new_zeros(*k.shape[:3], part.shape[-1]).requires_grad_()
            found += torch.autograd.grad(_attended(spec, call, k, v), v, part)
    return torch.cat(found, dim=-1)


def _is_fused(spec: Attention, call: Call) -> bool:
    """True where torch's fused operator gives the log sums of the very scores."""
    if plain_softmax(spec) is not None or not isinstance(spec, Pairwise):
        return False
    situation = Situation.of(call.q_BHTD, call.k_BGSD, call.v_BGSE, call.where)
    unbiased = type(spec.position).bias is Position.bias and not is_distance_bias(spec.position)
    return unbiased and needs_fused_operator(situation) is None


def _fused(spec: Pairwise, call: Call, values_BGSW: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values mixed side by side in one call a slab, with the log sums."""
    heads, where = call.q_BHTD.shape[1], call.where
    q, k = turned(spec, call.q_BHTD, share_heads(call.k_BGSD, heads), where, call.params)
    found = products(spec.score, q, k, where, scoped(call.params, "score"), shift_free=True)
    assert found is not None
    q, k, width = found.q_BHTD, found.k_BHSD, found.q_BHTD.shape[-1]
    v = torch.cat([k, share_heads(values_BGSW, heads)], dim=-1)
    padded_q, padded_k = (F.pad(x, (0, v.shape[-1] - width)) for x in (q, k))
    out, log_sum = _with_log_sums(padded_q, padded_k, v, Masks.of(spec, call, q.dtype), found.scale)
    entropy = log_sum - found.scale * (q * out[..., :width]).sum(-1)
    return out[..., width:], entropy.clamp(min=0.0)


def _with_log_sums(q: Tensor, k: Tensor, v: Tensor, masks: Masks, scale: float) -> tuple[Tensor, Tensor]:
    """out_BHTW and lse_BHT, slab by slab; both zero where a row meets nothing."""
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    out, log_sum = torch.zeros_like(q), q.new_zeros(q.shape[:3])
    for slab in masks.slabs:
        if slab.pairs:
            rows = slice(slab.start, slab.stop)
            some = q[:, :, rows].flip(2) if masks.upward else q[:, :, rows]
            keys = slice(slab.first, slab.last)
            mask = masks.of_slab(slab)
            more = fused(some, k[:, :, keys], v[:, :, keys], 0.0, False, attn_mask=mask, scale=scale)
            out[:, :, rows], log_sum[:, :, rows] = (x.flip(2) if masks.upward else x for x in more)
    return out, log_sum
