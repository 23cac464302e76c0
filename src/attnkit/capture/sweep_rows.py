"""Exact rows of any operator's map, some at a time."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.combine import Mixture, Sum, Then
from attnkit.attention.factored import CausalLinear, Linear, Linformer, Performer
from attnkit.attention.heads import share_heads
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import scoped
from attnkit.attention.where import Where
from attnkit.capture.statistics import scores_pairs
from attnkit.kernels.functionals import column_functional, in_slabs, weight_slabs
from attnkit.kernels.kernel import Call


def some_queries(where: Where, index: Tensor) -> Where:
    """The same for the queries of these indices alone."""

    def some(x: Tensor | None) -> Tensor | None:
        return None if x is None else x[..., index]

    return replace(
        where,
        query_position=where.query_position[..., index],
        query_keep=some(where.query_keep),
        query_document=some(where.query_document),
        aligned=False,
    )


def of_queries(call: Call, index: Tensor) -> Call:
    """The call with the queries of these indices alone."""
    state = None if call.state is None else call.state[:, :, index]
    return replace(call, q_BHTD=call.q_BHTD[:, :, index], where=some_queries(call.where, index), state=state)


def row_by_row(spec: Attention) -> bool:
    """True where a row of the map is made from its own query and no other."""
    if isinstance(spec, Sum | Mixture):
        return all(row_by_row(part) for part in spec.of)
    if isinstance(spec, Pairwise):
        return scores_pairs(spec) and all(part.rows_read == (0, 0) for part in spec.refine)
    return type(spec) in (Linear, CausalLinear, Linformer, Performer)


def map_rows(spec: Attention, call: Call, index: Tensor) -> Tensor:
    """A_BHRS, the rows `index` (int64) of the map; exact for any operator.

    Cost: R x S scores a head where rows stand for themselves; what the operator's gradient costs, every 64 rows, where
    they do not.
    """
    if isinstance(spec, Pairwise) and in_slabs(spec, call):
        return _in_runs(spec, call, index)
    if row_by_row(spec):
        some = of_queries(call, index)
        return spec.matrix(some.q_BHTD, some.k_BGSD, some.where, some.params, some.state)
    if type(spec) is Sum:
        parts = [
            map_rows(part, replace(call, params=scoped(call.params, str(number))), index)
            for number, part in enumerate(spec.of)
        ]
        return torch.stack(parts).sum(0)
    if type(spec) is Then:
        # Rows of the second times the first's map: what its keys give to queries that ask in that proportion.
        shared = share_heads(call.k_BGSD, call.q_BHTD.shape[1])
        second = replace(call, k_BGSD=shared, params=scoped(call.params, "second"))
        asked = map_rows(spec.second, second, index).mT
        own = scoped(call.params, "first")
        among = column_functional(shared, call.k_BGSD, asked, spec.first, where=call.where.among_keys, params=own)
        return among.mT
    asked = torch.zeros(call.where.T, len(index), device=index.device)
    asked[index, torch.arange(len(index), device=index.device)] = 1.0
    where, params, state = call.where, call.params, call.state
    return column_functional(call.q_BHTD, call.k_BGSD, asked, spec, where=where, params=params, state=state).mT


def _in_runs(spec: Pairwise, call: Call, index: Tensor) -> Tensor:
    """Rows that stand side by side are made together, with those beside them that a refinement reads."""
    read = [part.rows_read or (0, 0) for part in spec.refine]
    above, below = (sum(each) for each in zip(*read, strict=True)) if read else (0, 0)
    B, H, T, _ = call.q_BHTD.shape
    out = call.q_BHTD.new_zeros(B, H, len(index), call.where.S)
    together = [index] if not above and not below else list(_runs(index))
    start = 0
    for run in together:
        if above or below:
            first = max(0, int(run[0]) - above)
            around = torch.arange(first, min(T, int(run[-1]) + below + 1), device=index.device)
            own = slice(int(run[0]) - first, int(run[-1]) - first + 1)
        else:
            around, own = run, slice(0, len(run))
        some = of_queries(call, around)
        rows = out.new_zeros(B, H, len(around), call.where.S)
        for place, weights in weight_slabs(spec, some):
            place.of_heads(rows)[:, place.core, place.columns] = weights
        out[:, :, start : start + len(run)] = rows[:, :, own]
        start += len(run)
    return out


def _runs(index: Tensor) -> Iterator[Tensor]:
    """The indices cut where one does not follow on the one before."""
    breaks = (index.diff() != 1).nonzero().flatten() + 1
    yield from index.tensor_split(breaks.cpu())
