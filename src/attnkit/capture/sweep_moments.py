"""Moments of position: how far and which way a row looks, from few sums a block of keys."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.sweep import Tile
from attnkit.capture.sweep_places import Places

# Blocks of a row counted again key by key: where a row is narrow its mass is in two blocks side by side at most.
NARROW = 2


@dataclass(frozen=True, eq=False)
class Moments:
    """Of N = heads x rows rows: their sums, `mass_BN` a block of keys, and statistics of position by name."""

    total_N: Tensor
    mass_BN: Tensor
    found: dict[str, Tensor]

    def put(self, put: Callable[[str, Tensor], None]) -> None:
        """Hand each statistic on."""
        for name, value in self.found.items():
            put(name, value)

    @staticmethod
    def of(flat_NC: Tensor, tile: Tile, places: Places, wanted: frozenset[str]) -> "Moments":
        """The moments that `wanted` needs; weights may be of any sum."""
        asked = wanted & {"distance", "signed_distance", "spread"}
        orders = 3 if asked & {"signed_distance", "spread"} else 2 if asked else 1
        sums_B3N = block_moments(flat_NC, places.columns_3S[:orders], tile.columns, places.size)
        mass = sums_B3N[:, 0]
        total = mass.sum(0)
        if not asked:
            return Moments(total, mass, {})
        # Few numbers a row are left: their differences are taken in double precision.
        sums = sums_B3N.double()
        m, first = sums[:, 0], sums[:, 1]
        here = places.blocks(tile.columns)
        middle = places.middle_N[here]
        whole = m.sum(0)
        whole = whole.where(whole != 0, 1.0)
        H, R, _ = tile.weights_HRC.shape
        i = places.query_T[tile.rows].double()
        origin = i[0] if len(i) else middle.new_zeros(())
        mean = ((middle - origin) @ m + first.sum(0)) / whole
        found: dict[str, Tensor] = {}
        if asked & {"signed_distance", "spread"}:
            more, square = _about(flat_NC, tile, places, here, sums, middle - origin, mean)
            mean = mean + more / whole
            if "spread" in asked:
                found["spread"] = (square / whole - (more / whole).square()).clamp(min=0.0).sqrt().to(flat_NC.dtype)
        off = (i - origin).expand(H, R).flatten()
        if "signed_distance" in asked:
            found["signed_distance"] = (mean - off).to(flat_NC.dtype)
        if "distance" in asked:
            apart = _apart(flat_NC, tile, places, here, m, first, middle - origin, off, i)
            found["distance"] = (apart / whole).to(flat_NC.dtype)
        return Moments(total, mass, found)


def block_moments(flat_NC: Tensor, columns_KS: Tensor, columns: slice, size: int) -> Tensor:
    """sum_(s in block) A_ns column_ks as (blocks, K, N); the first and last block may be cut."""
    first, last = columns.start, columns.stop
    low, high = first // size, -(-last // size)
    N, K = flat_NC.shape[0], columns_KS.shape[0]
    out = flat_NC.new_empty(high - low, K, N)
    inner_low, inner_high = -(-first // size), last // size
    if inner_high > inner_low:
        inside = slice(inner_low * size, inner_high * size)
        ours = flat_NC[:, inside.start - first : inside.stop - first].unflatten(1, (-1, size)).permute(1, 2, 0)
        theirs = columns_KS[:, inside].unflatten(1, (-1, size)).transpose(0, 1)
        torch.bmm(theirs, ours, out=out[inner_low - low : inner_high - low])
    cuts = [(first, inner_low * size), (inner_high * size, last)] if inner_high >= inner_low else [(first, last)]
    for start, stop in cuts:
        if stop > start:
            out[start // size - low] = columns_KS[:, start:stop] @ flat_NC[:, start - first : stop - first].mT
    return out


def block_sums(flat_NC: Tensor, first: int, size: int) -> Tensor:
    """sum_(s in block) A_ns as (N, blocks)."""
    C = flat_NC.shape[1]
    low, high = first // size, -(-(first + C) // size)
    if size >= 16:
        return block_moments(flat_NC, flat_NC.new_ones(1, first + C), slice(first, first + C), size)[:, 0].mT
    block = torch.arange(first, first + C, device=flat_NC.device) // size - low
    member = (block[:, None] == torch.arange(high - low, device=block.device)).to(flat_NC.dtype)
    return flat_NC @ member


def _apart(
    flat: Tensor,
    tile: Tile,
    places: Places,
    here: slice,
    m: Tensor,
    first: Tensor,
    middle: Tensor,
    off: Tensor,
    i: Tensor,
) -> Tensor:
    """sum_s A_s |j_s - i|: blocks on one side of all queries by their sums, those between key by key."""
    low, high = places.low_N[here], places.high_N[here]
    left, right = high <= i.min(), low >= i.max()
    between = (~left & ~right).nonzero().flatten().tolist()
    side = right.double() - left.double()
    if between:
        side[between[0] : between[-1] + 1] = 0.0
    apart = (side * middle) @ m + side @ first - (side @ m) * off
    if not between:
        return apart
    start = max(tile.columns.start, (here.start + between[0]) * places.size)
    stop = min(tile.columns.stop, (here.start + between[-1] + 1) * places.size)
    distance = (places.key_S[start:stop] - places.query_T[tile.rows, None]).abs().to(flat.dtype)
    some = tile.weights_HRC[..., start - tile.columns.start : stop - tile.columns.start]
    return apart + (some * distance).sum(-1).flatten().double()


def _about(
    flat: Tensor, tile: Tile, places: Places, here: slice, sums: Tensor, middle: Tensor, mean: Tensor
) -> tuple[Tensor, Tensor]:
    """sum_s A_s (j_s - mean) and sum_s A_s (j_s - mean)^2.

    About a block's middle distances are as large as the block is wide, so that float32 loses a narrow row in their
    squares: the heaviest blocks are counted again, key by key about the mean itself.
    """
    size, columns = places.size, tile.columns
    count = min(NARROW, sums.shape[0])
    heavy = sums[:, 0].topk(count, dim=0).indices
    m, first, second = sums.unbind(1)
    away = middle[:, None] - mean
    once, square = m * away + first, m * away.square() + 2.0 * away * first + second
    index = (heavy + here.start).mT[..., None] * size + torch.arange(size, device=flat.device)
    index = index.flatten(1)
    there = (index >= columns.start) & (index < columns.stop)
    index = index.clamp(columns.start, columns.stop - 1)
    weights = flat.gather(1, index - columns.start).masked_fill(~there, 0.0).view(len(flat), count, size)
    # Both terms are small where the block is near the mean, and matter elsewhere only relative to their size.
    near = away.gather(0, heavy).mT.to(flat.dtype)[..., None]
    distance = places.columns_3S[1][index].view_as(weights) + near
    moment = weights * distance
    once, square = (x.scatter(0, heavy, 0.0).sum(0) for x in (once, square))
    return once + moment.sum((1, 2)).double(), square + (moment * distance).sum((1, 2)).double()
