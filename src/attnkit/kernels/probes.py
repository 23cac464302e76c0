"""Probes: what there is to know of a map of thousands of tokens, without the map."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.part import Params
from attnkit.attention.where import Where
from attnkit.kernels.attend import VASWANI
from attnkit.kernels.functionals import (
    column_functional,
    exact,
    in_slabs,
    mixed_with_entropy,
    row_functional,
    spread_values,
    weight_columns,
    weight_slabs,
    wide_call,
)
from attnkit.kernels.kernel import Call

# Blocks of keys that positions are counted from: squares of distances to a block's own middle keep their digits.
MOMENT_BLOCKS = 16


@dataclass(frozen=True, eq=False)
class RowStatistics:
    """What each query's row looks like, as (B, H, T) each; all zero where a query sees nothing.

    With p_ts = A_ts / sum_u A_tu, j_s the position of key s and i_t that of query t:
    `total_BHT` is sum_s A_ts; `position_BHT` = sum_s p_ts j_s is where it looks; `spread_BHT` is the standard deviation
    of that; `distance_BHT` = sqrt(sum_s p_ts (j_s - i_t)^2) is how far it reaches; `first_BHT` is the weight on the
    first real key; `entropy_BHT` = -sum_s p_ts log p_ts in nats, None where weights may be negative.
    """

    total_BHT: Tensor
    position_BHT: Tensor
    spread_BHT: Tensor
    distance_BHT: Tensor
    first_BHT: Tensor
    entropy_BHT: Tensor | None


@exact
def row_statistics(
    q_BHTD: Tensor,
    k_BGSD: Tensor,
    spec: Attention = VASWANI,
    *,
    where: Where | None = None,
    params: Params | None = None,
    state: Tensor | None = None,
) -> RowStatistics:
    """Total, position, spread, distance, first key and entropy of every row, for any operator; exact, not sampled.

    Raises: ValueError where shapes do not fit together.
    Cost: about 1.5 times a forward pass of fused attention where the operator is a softmax of products; no map.
    """
    call = wide_call(q_BHTD, k_BGSD, where, params, state)
    centers, columns = _moment_columns(call)
    values = spread_values(call, columns)
    if spec.claims().nonnegative:
        mixed, entropy = mixed_with_entropy(spec, call, values)
    else:
        entropy = None
        mixed = row_functional(call.q_BHTD, call.k_BGSD, values, spec, where=call.where, params=params, state=state)
    n = centers.shape[-1]
    # Few numbers a row are left: their differences are taken in double precision.
    mass, first_moment, second_moment, first = mixed.double().split([n, n, 1, 1], dim=-1)
    total = mass.sum(-1)
    there = total != 0
    safe = total.masked_fill(~there, 1.0)[..., None]
    centers = centers[:, None, None, :]
    position = ((mass * centers + first_moment).sum(-1, keepdim=True) / safe).squeeze(-1)

    def about(point_BHT: Tensor) -> Tensor:
        """Root mean square distance of the keys from a point a row."""
        off = centers - point_BHT[..., None]
        square = (mass * off.square() + 2.0 * off * first_moment).sum(-1, keepdim=True) + second_moment
        return (square / safe).clamp(min=0.0).sqrt().squeeze(-1)

    spread, distance = about(position), about(call.where.i.double().squeeze(-1).expand_as(position))
    total, position, spread, distance, first = (
        x.masked_fill(~there, 0.0).to(mixed.dtype) for x in (total, position, spread, distance, first.squeeze(-1))
    )
    return RowStatistics(total, position, spread, distance, first, entropy)


@exact
def received(
    q_BHTD: Tensor,
    k_BGSD: Tensor,
    spec: Attention = VASWANI,
    *,
    where: Where | None = None,
    params: Params | None = None,
    state: Tensor | None = None,
    blocks: int = 1,
) -> Tensor:
    """How much each key is read: sum of A_BHTS over the queries of each of `blocks` blocks, (B, H, blocks, S).

    Block b holds the queries t with floor(t blocks / T) = b. A key's whole is the sum over blocks.

    Raises: ValueError where shapes do not fit together, or `blocks` is below one.
    Cost: that of `column_functional`.
    """
    _check(blocks, "blocks")
    asked = membership(q_BHTD.shape[2], blocks, q_BHTD.device)
    return column_functional(q_BHTD, k_BGSD, asked, spec, where=where, params=params, state=state).mT


@exact
def pooled(
    q_BHTD: Tensor,
    k_BGSD: Tensor,
    spec: Attention = VASWANI,
    *,
    where: Where | None = None,
    params: Params | None = None,
    state: Tensor | None = None,
    blocks: int = 64,
) -> Tensor:
    """The map in small, (B, H, rows, columns) of `blocks` each: a block of queries' mean weight on a block of keys.

    Sums over the keys of a block, the mean over the real queries of one: rows still sum to one where the map's do.
    Shorter sequences have as many blocks as tokens.

    Raises: ValueError where shapes do not fit together, or `blocks` is below one.
    Cost: one forward pass of fused attention where `blocks` <= D; memory T x blocks a head.
    """
    _check(blocks, "blocks")
    T, S = q_BHTD.shape[2], k_BGSD.shape[2]
    keys, queries = (membership(length, min(blocks, length), q_BHTD.device) for length in (S, T))
    mass = row_functional(q_BHTD, k_BGSD, keys, spec, where=where, params=params, state=state)
    real = None if where is None else where.query_keep
    counted = queries.to(mass.dtype)[None] if real is None else queries.to(mass.dtype) * real[..., None]
    return (counted.mT[:, None] @ mass) / counted.sum(1).clamp(min=1.0)[:, None, :, None]


@exact
def top_keys(
    q_BHTD: Tensor,
    k_BGSD: Tensor,
    spec: Attention = VASWANI,
    *,
    where: Where | None = None,
    params: Params | None = None,
    state: Tensor | None = None,
    count: int = 8,
) -> tuple[Tensor, Tensor]:
    """The `count` largest weights of each row and the indices of their keys, (B, H, T, count), the largest first.

    Where a row has fewer, the weight is zero and the index -1.

    Raises: ValueError where shapes do not fit together, or `count` is below one.
    Cost: the map's slabs, and torch's selection in each; no map.
    """
    _check(count, "count")
    call = wide_call(q_BHTD, k_BGSD, where, params, state)
    B, H, T, _ = call.q_BHTD.shape
    values = call.q_BHTD.new_zeros(B, H, T, count)
    indices = torch.full((B, H, T, count), -1, dtype=torch.int64, device=values.device)
    if in_slabs(spec, call):
        for place, weights in weight_slabs(spec, call):
            held = min(count, weights.shape[-1])
            value, index = weights.topk(held, dim=-1)
            place.of_heads(values)[:, place.core, :held] = value
            place.of_heads(indices)[:, place.core, :held] = index + place.columns.start
    else:
        values.fill_(float("-inf"))
        for some, weights in weight_columns(spec, call):
            index = torch.arange(some.start, some.stop, device=values.device).expand(weights.shape)
            values, place_in = torch.cat([values, weights], dim=-1).topk(count, dim=-1)
            indices = torch.cat([indices, index], dim=-1).gather(-1, place_in)
    nothing = (values == 0) | (values == float("-inf"))
    return values.masked_fill(nothing, 0.0), indices.masked_fill(nothing, -1)


def membership(length: int, blocks: int, device: torch.device | str | None = None) -> Tensor:
    """(L, blocks) with a one where floor(l blocks / L) = block."""
    block = torch.arange(length, device=device) * blocks // max(1, length)
    return (block[:, None] == torch.arange(blocks, device=device)).to(torch.float32)


def _moment_columns(call: Call) -> tuple[Tensor, Tensor]:
    """Middles of blocks of keys (B or 1, n), and the values (B or 1, S, 2 n + 2) that give the moments about them.

    For each block its mass and the sum of distances from its middle; for all the sum of their squares, and the weight
    on the first real key. In float32 a variance from sums of squared positions would be lost behind the first thousand.
    """
    where = call.where
    S = where.S
    n = min(MOMENT_BLOCKS, max(1, S))
    block = membership(S, n, where.key_position.device).double()
    j = where.key_position.double()
    j = j if j.dim() == 2 else j[None]
    centers = (j @ block) / block.sum(0).clamp(min=1.0)
    off = j - centers @ block.mT
    if where.keep is None:
        first = (torch.arange(S, device=j.device) == 0)[None]
    else:
        first = where.keep & (where.keep.cumsum(-1) == 1)
    batch = max(j.shape[0], first.shape[0])
    columns = [
        block.expand(batch, -1, -1),
        (off[..., None] * block).expand(batch, -1, -1),
        off.square()[..., None].expand(batch, -1, -1),
        first[..., None].double().expand(batch, -1, -1),
    ]
    return centers, torch.cat(columns, dim=-1).to(call.q_BHTD.dtype)


def _check(number: int, name: str) -> None:
    if number < 1:
        raise ValueError(f"{name} must be at least 1; got {number}")
