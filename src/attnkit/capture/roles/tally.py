"""Tally: what the roles need of a map, added up block by block."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.roles.blocks import Block
from attnkit.capture.roles.pairs import NO_PAIRS, RELATIONS, related_at
from attnkit.capture.roles.scene import Scene


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums of p_ts = A_ts / sum_u A_tu over keys, for each query of each head.

    `total_BHT` is sum_s A_ts; `near_BHTN` the share at each position near the query's; `first_BHT` and `delimiter_BHT`
    the shares on the first real key and on delimiters that are no first ones; `related_BHTN` those on keys in each of
    RELATIONS; `entropy_BHT` is in nats. `received_BHPS` sums over the counted queries of even and of odd index, P = 2.
    `seeing_BHPS` is the number of those with any weight there, for the map of who may meet whom alone.
    """

    total_BHT: Tensor
    near_BHTN: Tensor | None
    first_BHT: Tensor
    delimiter_BHT: Tensor
    related_BHTN: Tensor | None
    entropy_BHT: Tensor
    received_BHPS: Tensor
    seeing_BHPS: Tensor | None


def tally(
    scene: Scene, blocks: Iterator[Block], heads: int, counted_BT: Tensor, *, entropy: bool = True, seeing: bool = False
) -> Tally:
    """The sums over `blocks`; `counted_BT` are the queries whose weight keys receive.

    Cost: beside the blocks, 2 multiply-adds a pair and head, 4 more where there are tokens, and a logarithm where the
    entropy is asked for.
    """
    (B, T), S, device = scene.real_BT.shape, scene.kept_BS.shape[1], scene.real_BT.device

    def zeros(*shape: int) -> Tensor:
        return torch.zeros(B, heads, *shape, device=device)

    total, negated, first, delimiter = zeros(T), zeros(T), zeros(T), zeros(T)
    near = None if scene.near_BTN is None else zeros(T, scene.near_BTN.shape[-1])
    related = None if scene.asking_BT is None else zeros(T, len(RELATIONS))
    received, seen_by = zeros(2, S), zeros(2, S) if seeing else None
    parity = (torch.arange(T, device=device) % 2 == torch.arange(2, device=device)[:, None]).float()
    delimiters = None if scene.delimiter_BS is None else (scene.delimiter_BS & ~scene.firsts_BS).float()
    related_pairs = NO_PAIRS
    for block in blocks:
        item, heads_, rows, columns, weights = block.item, block.heads, block.rows, block.columns, block.weights_HRC
        weights = weights.float()
        safe = block.total_HR.masked_fill(block.total_HR == 0, 1.0)
        total[item, heads_, rows] = block.total_HR.float()
        first[item, heads_, rows] += _at(weights, scene.first_BT[item, rows, None], columns).squeeze(-1)
        if delimiters is not None:
            delimiter[item, heads_, rows] += weights @ delimiters[item, columns]
        asked = parity[:, rows] * counted_BT[item, rows]
        received[item, heads_, :, columns] += (asked / safe[:, None]).float() @ weights
        if seen_by is not None:
            seen_by[item, heads_, :, columns] += asked @ (weights > 0).float()
        if near is not None and scene.near_BTN is not None:
            near[item, heads_, rows] += _at(weights, scene.near_BTN[item, rows], columns)
        if related is not None:
            place = (item, rows, columns)
            # Blocks of other heads at the same place come one after another.
            related_pairs = related_pairs if related_pairs.place == place else related_at(scene, *place)
            related[item, heads_, rows] += related_pairs.shares(weights)
        if entropy:
            negated[item, heads_, rows] += _negated(weights)
    there = total > 0
    safe = total.masked_fill(~there, 1.0)
    return Tally(
        total,
        None if near is None else near / safe[..., None],
        first / safe,
        delimiter / safe,
        None if related is None else related / safe[..., None],
        # -sum p log p = log m - (sum A log A) / m with m the row's sum.
        (safe.log() - negated / safe).clamp(min=0.0).masked_fill(~there, 0.0),
        received,
        seen_by,
    )


def _at(weights_HRC: Tensor, key_RN: Tensor, columns: slice) -> Tensor:
    """Each row's weights on some keys of the whole, 0 where one is not among the columns, (H, R, N)."""
    inside = (key_RN >= columns.start) & (key_RN < columns.stop)
    index = (key_RN - columns.start).masked_fill(~inside, 0)
    found = weights_HRC.gather(-1, index.expand(weights_HRC.shape[0], -1, -1))
    return found.masked_fill(~inside, 0.0)


def _negated(weights_HRC: Tensor) -> Tensor:
    """sum_s A_ts log A_ts; weights too small for float32's logarithm count as nothing, as they would anyway."""
    logs = weights_HRC.clamp(min=torch.finfo(torch.float32).tiny).log_()
    return logs.mul_(weights_HRC).sum(-1)
