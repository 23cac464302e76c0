"""Blocks: the weights of a call piece by piece, and the map that a head without preferences would have."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.combine import Mixture, Sum
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params, scoped
from attnkit.attention.position.base import DistanceBias, Position
from attnkit.attention.where import Where
from attnkit.capture.sweep_rows import map_rows
from attnkit.kernels.functionals import in_slabs, row_functional, weight_columns, weight_slabs, wide_call
from attnkit.kernels.kernel import Call
from attnkit.layers.taps import Seen

# A bias below this is somebody's mask: no score that was learned weighs against it.
HIDING = -1e4
# Numbers of a block of the map of who may meet whom, 4 MiB in float32.
BLOCK_NUMBERS = 1 << 20


@dataclass(frozen=True, eq=False)
class Block:
    """Weights weights_HRC of the queries `rows` on the keys `columns`, of one item and of `heads`; total_HR is that of
    whole rows. What it holds is written over when the next one is asked for.
    """

    item: int
    heads: slice
    rows: slice
    columns: slice
    weights_HRC: Tensor
    total_HR: Tensor


def call_of(seen: Seen) -> Call:
    """The call without values, in at least float32."""
    return wide_call(seen.q_BHTD, seen.k_BGSD, seen.where, seen.params, seen.state)


def map_blocks(seen: Seen) -> Iterator[Block]:
    """Every block of the map, any operator; no map is built.

    Cost: one forward pass of the operator where a row needs only its own query, else one for every 64 keys.
    """
    call = call_of(seen)
    if in_slabs(seen.spec, call):
        for place, weights in weight_slabs(seen.spec, call):
            yield Block(place.item, place.heads, place.core, place.columns, weights, weights.sum(-1))
        return
    B, H, T, _ = call.q_BHTD.shape
    ones = call.q_BHTD.new_ones(call.where.S, 1)
    total = row_functional(
        call.q_BHTD, call.k_BGSD, ones, seen.spec, where=call.where, params=call.params, state=call.state
    ).squeeze(-1)
    for some, columns in weight_columns(seen.spec, call):
        for item in range(B):
            yield Block(item, slice(0, H), slice(0, T), some, columns[item], total[item])


def visible_blocks(seen: Seen) -> Iterator[Block]:
    """The same blocks with 1 where a query may meet a key and 0 elsewhere, for one head that stands for all."""
    where = seen.where
    T, S = where.T, where.S
    height = max(1, min(T, BLOCK_NUMBERS // max(1, S)))
    for item in range(seen.q_BHTD.shape[0]):
        own = where.item(item)
        for start in range(0, T, height):
            rows = slice(start, min(T, start + height))
            weights = visible(seen, own.rows(rows.start, rows.stop)).to(torch.float32)
            yield Block(item, slice(0, 1), rows, slice(0, S), weights, weights.sum(-1))


def keys_seen(seen: Seen) -> Tensor:
    """How many keys each query may see, (B, T)."""
    B, T = seen.q_BHTD.shape[0], seen.where.T
    count = torch.zeros(B, T, dtype=torch.int64, device=seen.q_BHTD.device)
    for block in visible_blocks(seen):
        count[block.item, block.rows] = block.total_HR[0].to(torch.int64)
    return count


def visible(seen: Seen, where: Where) -> Tensor:
    """True where a query may meet a key, (1, T, S) of one item: by pattern, padding and biases that hide."""
    allowed = _allowed(seen.spec, seen.params, where, seen.q_BHTD.shape[1])
    if allowed is None:
        return torch.ones(1, where.T, where.S, dtype=torch.bool, device=where.key_position.device)
    return allowed.any(1).expand(1, where.T, where.S)


def _allowed(spec: Attention, params: Params, where: Where, heads: int) -> Tensor | None:
    if isinstance(spec, Sum | Mixture):
        parts = [_allowed(part, scoped(params, str(place)), where, heads) for place, part in enumerate(spec.of)]
        known = [part for part in parts if part is not None]
        return None if len(known) < len(parts) else torch.stack([part.any(1, keepdim=True) for part in known]).any(0)
    if not isinstance(spec, Pairwise):
        kept, earlier = where.kept, where.j <= where.i
        if not spec.claims().causal:
            return kept
        return earlier if kept is None else kept & earlier
    allowed = spec.allowed(where)
    if not _may_hide(spec.position):
        return allowed
    bias = spec.position.bias(where.i, where.j, scoped(params, "position"), heads, torch.float32)
    if bias is None:
        return allowed
    met = (bias > HIDING).any(1, keepdim=True)
    return met if allowed is None else allowed & met


def _may_hide(position: Position) -> bool:
    return type(position).bias is not Position.bias and not isinstance(position, DistanceBias)


def some_rows(seen: Seen, indices: Tensor) -> Tensor:
    """Rows A_BHRS of the map at the queries `indices` (R,) int64, in at least float32.

    Cost: that of `map_rows`.
    """
    with torch.no_grad(), torch.autocast(seen.q_BHTD.device.type, enabled=False):
        return map_rows(seen.spec, call_of(seen), indices)
