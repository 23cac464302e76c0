"""Where the keys of one item stand: the columns that moments are counted with, and whom a query finds beside itself."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.where import Where

# Keys whose moments are counted about one middle: distances within stay small enough for float32.
MIDDLE = 128


@dataclass(frozen=True, eq=False)
class Places:
    """Of one item: positions, and blocks of `size` keys with their middles.

    `columns_3S` are a one, the distance from the middle of the key's block, and its square; `off_BS` are those
    distances by block. `low_N` and `high_N` are the least and greatest position of each block. `beside_T4` are the
    indices of the first real key, of the key at the query's own position, and of those one before and after it; -1
    where there is none.
    """

    query_T: Tensor
    key_S: Tensor
    size: int
    columns_3S: Tensor
    off_BS: Tensor
    middle_N: Tensor
    low_N: Tensor
    high_N: Tensor
    beside_T4: Tensor


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some rows and columns of one item, whatever the head.

    `blocks` are those that the columns touch, `origin` a position near the rows and `i_R` the queries' beyond it.
    `side_B` is 1 where a block is to the right of all the queries, -1 to the left, 0 between, where `columns` of the
    tile are at `distance` |j - i| (R, columns). `index` are columns of the keys beside each query, where `there`.
    """

    blocks: slice
    origin: Tensor
    i_R: Tensor
    side_B: Tensor
    columns: slice
    distance: Tensor | None
    index: Tensor
    there: Tensor


def stretch_of(places: Places, rows: slice, columns: slice) -> Stretch:
    """Of these rows and columns."""
    size, dtype = places.size, places.columns_3S.dtype
    blocks = slice(columns.start // size, -(-columns.stop // size))
    i = places.query_T[rows]
    low, high = places.low_N[blocks], places.high_N[blocks]
    left, right = high <= i.min(), low >= i.max()
    between = (~left & ~right).nonzero().flatten().tolist()
    side = right.double() - left.double()
    start = stop = columns.start
    distance = None
    if between:
        side[between[0] : between[-1] + 1] = 0.0
        start = max(columns.start, (blocks.start + between[0]) * size)
        stop = min(columns.stop, (blocks.start + between[-1] + 1) * size)
        distance = (places.key_S[start:stop] - i[:, None]).abs().to(dtype)
    beside = places.beside_T4[rows]
    column, C = beside - columns.start, columns.stop - columns.start
    there = (column >= 0) & (column < C) & (beside >= 0)
    within = slice(start - columns.start, stop - columns.start)
    off = (i - i[0]).double()
    return Stretch(blocks, i[0].double(), off, side, within, distance, column.clamp(0, C - 1), there)


def places_of(where: Where, size: int, dtype: torch.dtype, placed: bool) -> Places:
    """Of the one item of `where`; without `placed` nobody is beside anybody."""
    query, key = (x.reshape(-1) for x in (where.query_position, where.key_position))
    S = key.shape[0]
    block = torch.arange(S, device=key.device) // size
    n = -(-S // size)
    low = torch.full((n,), torch.iinfo(torch.int64).max, device=key.device).scatter_reduce_(0, block, key, "amin")
    high = torch.full((n,), torch.iinfo(torch.int64).min, device=key.device).scatter_reduce_(0, block, key, "amax")
    middle = (low.double() + high.double()) / 2.0
    off = key.double() - middle[block]
    columns = torch.stack([torch.ones_like(off), off, off.square()]).to(dtype)
    by_block = F.pad(columns[1], (0, n * size - S)).view(n, size)
    beside = _beside(where, query, key, placed)
    return Places(query, key, size, columns, by_block, middle, low, high, beside)


def _beside(where: Where, query: Tensor, key: Tensor, placed: bool) -> Tensor:
    keep = torch.ones_like(key, dtype=torch.bool) if where.keep is None else where.keep.reshape(-1)
    of_query, of_key = torch.zeros_like(query), torch.zeros_like(key)
    if where.query_document is not None and where.key_document is not None:
        of_query, of_key = where.query_document.reshape(-1), where.key_document.reshape(-1)
    real = keep.nonzero().flatten()
    if not len(real):
        return torch.full((len(query), 4), -1, device=query.device)
    first = _found(of_key[real], real, of_query)
    if not placed:
        none = torch.full_like(first, -1)
        return torch.stack([first, none, none, none], dim=-1)
    # One number for document and position, so that one search finds both.
    least = int(torch.minimum(key.min(), query.min())) - 1
    stride = int(torch.maximum(key.max(), query.max())) - least + 2
    codes = of_key[real] * stride + key[real] - least
    own = of_query * stride + query - least
    return torch.stack([first, *(_found(codes, real, own + step) for step in (0, -1, 1))], dim=-1)


def _found(codes: Tensor, index: Tensor, asked: Tensor) -> Tensor:
    """For each of `asked` the index of the first equal code, -1 where there is none."""
    ordered, order = codes.sort(stable=True)
    place = torch.searchsorted(ordered, asked).clamp(max=len(ordered) - 1)
    return index[order[place]].where(ordered[place] == asked, -1)


def shared_positions(where: Where) -> bool:
    """True where two real keys of one item and document stand at the same position."""
    if where.aligned:
        return False
    told = (where.key_position, where.keep, where.key_document)
    batch = max((x.shape[0] for x in told if x is not None and x.dim() == 2), default=1)
    for item in range(batch):
        own = where.item(item)
        keep = slice(None) if own.keep is None else own.keep.reshape(-1)
        key = own.key_position.reshape(-1)
        document = torch.zeros_like(key) if own.key_document is None else own.key_document.reshape(-1)
        pairs = torch.stack([document, key])[:, keep]
        if torch.unique(pairs, dim=1).shape[1] < pairs.shape[1]:
            return True
    return False
