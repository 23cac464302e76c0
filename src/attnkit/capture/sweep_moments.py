"""Moments of position: how far and which way a row looks, from few sums a block of keys."""

import torch
from torch import Tensor

from attnkit.capture.sweep_places import Places, Stretch

# Blocks of a row counted again key by key: where a row is narrow its mass is in two blocks side by side at most.
NARROW = 2


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


def heavy_blocks(flat_NC: Tensor, mass_BN: Tensor, columns: slice, size: int) -> tuple[Tensor, Tensor]:
    """The NARROW blocks with most weight, (k, N), counted from the tile's first, and what they hold, (N, k, size)."""
    heavy = mass_BN.topk(min(NARROW, mass_BN.shape[0]), dim=0).indices
    index = (heavy.mT + columns.start // size)[..., None] * size + torch.arange(size, device=flat_NC.device)
    index = index.flatten(1) - columns.start
    C = flat_NC.shape[1]
    weights = flat_NC.gather(1, index.clamp(0, C - 1))
    if columns.start % size or columns.stop % size:
        weights = weights.masked_fill((index < 0) | (index >= C), 0.0)
    return heavy, weights.unflatten(1, (-1, size))


def moments(
    sums_HBKR: Tensor,
    near_HR: Tensor | None,
    heavy_HRk: Tensor | None,
    held_HRkS: Tensor | None,
    places: Places,
    stretch: Stretch,
) -> dict[str, Tensor]:
    """Statistics of position of these rows, (H, R), from their sums a block.

    Few numbers a row are left here: their differences are taken in double precision.
    """
    sums = sums_HBKR.double()
    K = sums.shape[2]
    middle, side = places.middle_N[stretch.blocks] - stretch.origin, stretch.side_B
    one, none = torch.ones_like(middle), torch.zeros_like(middle)
    # |j - i| is j - i on the right, i - j on the left, and counted key by key between.
    taken = [(one, none), (middle, one), (side * middle, side), (side, none)]
    factors = torch.stack([torch.stack([*pair, none][:K], dim=-1).flatten() for pair in taken])
    whole, at, apart, sided = (factors @ sums.flatten(1, 2)).unbind(1)
    whole = whole.where(whole != 0, 1.0)
    apart = apart - sided * stretch.i_R
    found = {"distance": (apart if near_HR is None else apart + near_HR) / whole}
    if heavy_HRk is not None and held_HRkS is not None:
        mean = at / whole
        once, twice = _about(sums, heavy_HRk, held_HRkS, places, stretch, middle, mean)
        more = once / whole
        found["spread"] = (twice / whole - more.square()).clamp(min=0.0).sqrt()
        found["signed_distance"] = mean + more - stretch.i_R
    return found


def _about(
    sums: Tensor, heavy: Tensor, held: Tensor, places: Places, stretch: Stretch, middle: Tensor, mean: Tensor
) -> tuple[Tensor, Tensor]:
    """sum_s A_s (j_s - mean) and sum_s A_s (j_s - mean)^2.

    About a block's middle distances are as large as the block is wide, so that float32 loses a narrow row in their
    squares: the heaviest blocks are counted again, key by key about the mean itself.
    """
    m, first, second = sums.unbind(2)
    away = middle[:, None] - mean[:, None]
    term = m * away
    once = term + first
    twice = (term + 2.0 * first).mul_(away).add_(second)
    at = heavy.transpose(1, 2)
    once, twice = (x.scatter_(1, at, 0.0).sum(1) for x in (once, twice))
    # Both terms are small where the block is near the mean, and matter elsewhere only relative to their size.
    near = away.gather(1, at).transpose(1, 2).to(held.dtype)[..., None]
    distance = places.off_BS[heavy + stretch.blocks.start] + near
    moment = held * distance
    return once + moment.sum((2, 3)).double(), twice + (moment * distance).sum((2, 3)).double()
