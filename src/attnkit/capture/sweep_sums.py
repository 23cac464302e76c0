"""What must be counted of a tile while its weights are there: passes over them, and few numbers a row that are left."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from attnkit.capture.statistics import SHARES
from attnkit.capture.sweep import Tile, peaks_of
from attnkit.capture.sweep_moments import block_moments, block_sums, heavy_blocks
from attnkit.capture.sweep_places import Places, Stretch
from attnkit.capture.sweep_top import heaviest
from attnkit.kernels.rows.place import Space


@dataclass(frozen=True, eq=False)
class Sums:
    """Of the rows of some heads, heads first; None where nobody asked.

    `total` are the sums of the tile's weights w. `moments` (H, blocks, K, R) are sums of the columns of `Places` over
    each block, `near` the sums of |j - i| over the stretch between left and right, `heavy` the blocks with most weight
    and `heavy_weights` (H, R, blocks, size) what they hold. `dots` are sum w ln w, `beside` the weights on the keys of
    `Places.beside_T4`, `mixed` the norm of the mixed values, `pooled` (H, R, blocks) sums over blocks of the small map.
    """

    total: Tensor
    moments: Tensor
    near: Tensor | None = None
    heavy: Tensor | None = None
    heavy_weights: Tensor | None = None
    dots: Tensor | None = None
    beside: Tensor | None = None
    top: Tensor | None = None
    logit: Tensor | None = None
    seen: Tensor | None = None
    met: Tensor | None = None
    mixed: Tensor | None = None
    edge_weight: Tensor | None = None
    edge_column: Tensor | None = None
    pooled: Tensor | None = None


@dataclass(frozen=True)
class Asked:
    """Which sums a sweep needs for the statistics wanted; `edges` a query, blocks of `key_tokens`, 0 for none."""

    orders: int
    apart: bool
    about: bool
    entropy: bool
    beside: bool
    top: bool
    value_norm: bool
    edges: int
    key_tokens: int

    @staticmethod
    def of(wanted: frozenset[str], edges: int, key_tokens: int) -> "Asked":
        """Those of these statistics."""
        about = bool(wanted & {"signed_distance", "spread"})
        return Asked(
            orders=3 if about else 2 if "distance" in wanted else 1,
            apart="distance" in wanted,
            about=about,
            entropy=bool(wanted & set(SHARES[:3])),
            beside=bool(wanted & {"sink", "diagonal", "previous", "next"}),
            top="largest_weight" in wanted,
            value_norm="value_norm" in wanted,
            edges=edges,
            key_tokens=key_tokens,
        )


def sums_of(tile: Tile, places: Places, stretch: Stretch, asked: Asked, v_HSE: Tensor | None, space: Space) -> Sums:
    """All passes over one tile but those that want its shares."""
    weights = tile.weights_HRC
    H, R, _ = weights.shape
    flat = weights.flatten(0, 1)
    sums_BKN = block_moments(flat, places.columns_3S[: asked.orders], tile.columns, places.size)
    total = sums_BKN[:, 0].sum(0)
    moments = sums_BKN.unflatten(-1, (H, R)).permute(2, 0, 1, 3)
    near = heavy = held = dots = beside = top = mixed = edge_weight = edge_column = pooled = None
    if asked.apart and stretch.distance is not None:
        near = (weights[..., stretch.columns] * stretch.distance).sum(-1)
    if asked.about:
        heavy, held = heavy_blocks(flat, sums_BKN[:, 0], tile.columns, places.size)
        heavy, held = heavy.mT.unflatten(0, (H, R)), held.unflatten(0, (H, R))
    if asked.beside:
        beside = weights.gather(-1, stretch.index.expand(H, R, 4))
    if asked.top or asked.edges:
        peaks = peaks_of(flat) if tile.peaks is None else tile.peaks
        top = peaks.amax(-1).view(H, R)
        if asked.edges:
            edge_weight, edge_column = (x.unflatten(0, (H, R)) for x in heaviest(flat, peaks, asked.edges))
    if asked.value_norm and v_HSE is not None:
        mixed = (weights @ v_HSE[tile.heads, tile.columns]).norm(dim=-1)
    if asked.key_tokens and asked.key_tokens != places.size:
        pooled = block_sums(flat, tile.columns.start, asked.key_tokens).unflatten(0, (H, R))
    if asked.entropy:
        dots = _logarithms(tile, flat, space).view(H, R)
    met = None if tile.met_HR is None else tile.met_HR.expand(H, R)
    return Sums(
        total.view(H, R), moments, near, heavy, held, dots, beside, top, tile.logit_HR, tile.seen_HR, met, mixed,
        edge_weight, edge_column, pooled,
    )  # fmt: skip


def together(sums: list[Sums]) -> Sums:
    """The same of all their heads."""
    if len(sums) == 1:
        return sums[0]
    first = sums[0]
    there = [one.name for one in fields(Sums) if getattr(first, one.name) is not None]
    return replace(first, **{name: torch.cat([getattr(each, name) for each in sums]) for name in there})


def _logarithms(tile: Tile, flat_NC: Tensor, space: Space) -> Tensor:
    """sum_c w ln w; may write over the scores."""
    if tile.scores_HRC is not None:
        return row_dots(flat_NC, tile.scores_HRC.flatten(0, 1))
    logs = space.take("logs", tuple(flat_NC.shape))
    # Nothing times the logarithm of the least number is nothing.
    torch.clamp(flat_NC, min=torch.finfo(flat_NC.dtype).tiny, out=logs).log_()
    return row_dots(flat_NC, logs)


def row_dots(a_NC: Tensor, b_NC: Tensor) -> Tensor:
    """sum_c a_nc b_nc; `b_NC` may be written over.

    Four rows at a time as one small product: it reads both once and writes neither, though it throws away three of
    four of its numbers.
    """
    N, C = a_NC.shape
    if N % 4:
        return torch.mul(a_NC, b_NC, out=b_NC).sum(-1)
    products = torch.bmm(a_NC.view(N // 4, 4, C), b_NC.view(N // 4, 4, C).mT)
    return products.diagonal(dim1=1, dim2=2).reshape(N)
