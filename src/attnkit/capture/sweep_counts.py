"""What a sweep counts: tile by tile, each number in as few passes as it takes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.heads import share_heads
from attnkit.attention.where import Where
from attnkit.capture.statistics import SHARES
from attnkit.capture.sweep import HIDDEN, Tile, peaks_of
from attnkit.capture.sweep_moments import Moments, block_sums
from attnkit.capture.sweep_places import MIDDLE, Places, places_of
from attnkit.capture.sweep_top import heaviest
from attnkit.kernels.rows.place import Space

# put(name, value_N) or put(name, value_N, there_N): a statistic of a tile's rows.
_Put = Callable[..., None]
_BESIDE = ("sink", "diagonal", "previous", "next")


@dataclass(frozen=True)
class Extras:
    """What is kept besides statistics: blocks of the pooled map in tokens, and edges a query; 0 where not wanted."""

    query_tokens: int = 0
    key_tokens: int = 0
    edges: int = 0


class Counts:
    """Fills (B, H, T) and (B, H, S) by name for `wanted`, and the pooled map and the edges where `extras` ask for them.

    Only queries count that are `real_BT`. `index` says which of all queries the rows are, where some were sampled;
    without `placed` no query has a place among the keys.
    """

    def __init__(
        self,
        wanted: frozenset[str],
        extras: Extras,
        where: Where,
        v_BGSE: Tensor,
        heads: int,
        index: Tensor,
        real_BT: Tensor | None,
        placed: bool,
    ) -> None:
        B, T, S = v_BGSE.shape[0], where.T, where.S
        like = v_BGSE
        self.wanted, self.extras, self.where, self.placed = wanted, extras, where, placed
        self.real_BT = real_BT
        self.query = {name: like.new_zeros(B, heads, T) for name in wanted if name not in ("received", "received_norm")}
        key = wanted & {"received", "received_norm"}
        self.received = like.new_zeros(B, heads, S) if key else None
        self.v_BHSE = share_heads(v_BGSE, heads) if wanted & {"value_norm", "received_norm"} else None
        self.pooled: Tensor | None = None
        self.edges: tuple[Tensor, Tensor] | None = None
        if extras.key_tokens:
            self.query_block = (index // extras.query_tokens).to(like.device)
            blocks = int(self.query_block.max()) + 1 if T else 1
            self.pooled = like.new_zeros(B, heads, blocks, -(-S // extras.key_tokens))
        if extras.edges:
            keys = torch.full((B, heads, T, extras.edges), -1, dtype=torch.int64, device=like.device)
            self.edges = like.new_zeros(B, heads, T, extras.edges), keys
        self._size = _block_size(extras.key_tokens)
        self._space = Space(like.dtype, like.device)
        self._places: dict[int, Places] = {}

    def add(self, tile: Tile) -> None:
        """Count one tile; its weights may be written over."""
        H, R, _ = tile.weights_HRC.shape
        flat = tile.weights_HRC.flatten(0, 1)
        places = self._of_item(tile.item)
        moments = Moments.of(flat, tile, places, self.wanted)
        real = self._real(tile)
        whole = moments.total_N != 0
        for there in (real, None if tile.seen_HR is None else tile.seen_HR.flatten()):
            whole = whole if there is None else whole & there
        # What weights are divided by to be shares of their row.
        divisor = moments.total_N.where(whole, 1.0)

        def put(name: str, value_N: Tensor, there: Tensor | None = None) -> None:
            if name in self.query:
                kept = whole if there is None else there
                value = value_N.where(kept, 0.0).view(H, R)
                self.query[name][tile.item, tile.heads, tile.rows] = value.to(value.dtype)

        factor = divisor.reciprocal() if tile.scores_HRC is not None else torch.ones_like(divisor)
        weight = factor.where(whole, 0.0)
        put("total", moments.total_N * weight)
        moments.put(put)
        if self.wanted & set(SHARES[:3]):
            self._entropy(tile, flat, divisor, whole, put)
        self._beside(tile, places, flat, weight, put)
        if tile.logit_HR is not None:
            logit = tile.logit_HR.flatten()
            may = logit > 0.5 * HIDDEN if tile.seen_HR is None else tile.seen_HR.flatten()
            put("largest_logit", logit, may if real is None else may & real)
        if "largest_weight" in self.wanted or self.edges is not None:
            self._largest(tile, flat, weight, put)
        if "value_norm" in self.query and self.v_BHSE is not None:
            v = self.v_BHSE[tile.item, tile.heads, tile.columns]
            put("value_norm", (tile.weights_HRC @ v).flatten(0, 1).norm(dim=-1) * weight)
        if self.received is not None:
            into = self.received[tile.item, tile.heads, None, tile.columns]
            into.baddbmm_(weight.view(H, 1, R), tile.weights_HRC)
        if self.pooled is not None:
            self._pool(tile, flat, moments, weight)

    def finished(self) -> dict[str, Tensor]:
        """The statistics, by name."""
        found = dict(self.query)
        if self.received is not None:
            found["received"] = self.received
            if "received_norm" in self.wanted and self.v_BHSE is not None:
                found["received_norm"] = self.received * self.v_BHSE.norm(dim=-1)
        if self.pooled is not None:
            B, T = self.pooled.shape[0], self.where.T
            real = self.real_BT
            ones = torch.ones(B, T, device=self.pooled.device) if real is None else real.float()
            counts = ones.new_zeros(B, self.pooled.shape[2]).index_add_(1, self.query_block, ones)
            self.pooled /= counts.clamp(min=1.0)[:, None, :, None]
        return {name: value for name, value in found.items() if name in self.wanted}

    def _of_item(self, item: int) -> Places:
        if item not in self._places:
            own = self.where.item(item)
            self._places[item] = places_of(own, self._size, self._space.dtype, self.placed)
        return self._places[item]

    def _real(self, tile: Tile) -> Tensor | None:
        if self.real_BT is None:
            return None
        return self.real_BT[tile.item, tile.rows].expand(tile.weights_HRC.shape[:2]).flatten()

    def _entropy(self, tile: Tile, flat: Tensor, divisor: Tensor, whole: Tensor, put: _Put) -> None:
        if tile.scores_HRC is not None:
            scores = tile.scores_HRC.flatten(0, 1)
        else:
            scores = self._space.take("logs", tuple(flat.shape))
            torch.clamp(flat, min=torch.finfo(flat.dtype).tiny, out=scores).log_()
        # -sum p ln p = ln m - (sum A ln A) / m with m the row's sum.
        entropy = (divisor.log() - row_dots(flat, scores) / divisor).clamp(min=0.0)
        put("entropy", entropy)
        put("span", entropy.exp())
        if tile.met_HR is not None:
            met = tile.met_HR.expand(tile.weights_HRC.shape[:2]).flatten()
            put("entropy_share", entropy / met.clamp(min=2).to(entropy.dtype).log(), whole & (met > 1))

    def _beside(self, tile: Tile, places: Places, flat: Tensor, weight: Tensor, put: _Put) -> None:
        names = [name for name in _BESIDE if name in self.query]
        if not names:
            return
        H, R, C = tile.weights_HRC.shape
        column = places.beside_T4[tile.rows] - tile.columns.start
        there = (column >= 0) & (column < C) & (places.beside_T4[tile.rows] >= 0)
        index = column.clamp(0, C - 1).expand(H, R, 4)
        found = tile.weights_HRC.gather(-1, index).masked_fill(~there, 0.0).flatten(0, 1)
        for name in names:
            put(name, found[:, _BESIDE.index(name)] * weight)

    def _largest(self, tile: Tile, flat: Tensor, weight: Tensor, put: _Put) -> None:
        peaks = peaks_of(flat) if tile.peaks is None else tile.peaks
        top = peaks.amax(-1)
        put("largest_weight", (top if tile.scores_HRC is None else top.exp()) * weight)
        if self.edges is not None:
            H, R, _ = tile.weights_HRC.shape
            value, key = heaviest(flat, peaks, self.edges[0].shape[-1])
            value = value * weight[:, None]
            nothing = value == 0
            held = value.shape[-1]
            values, keys = (x[tile.item, tile.heads, tile.rows, :held] for x in self.edges)
            values.copy_(value.view(H, R, held))
            keys.copy_((key + tile.columns.start).masked_fill(nothing, -1).view(H, R, held))

    def _pool(self, tile: Tile, flat: Tensor, moments: Moments, weight: Tensor) -> None:
        assert self.pooled is not None
        H, R, _ = tile.weights_HRC.shape
        tokens = self.extras.key_tokens
        first, last = tile.columns.start // tokens, -(-tile.columns.stop // tokens)
        if tokens == self._size:
            mass_NB = moments.mass_BN.mT
        else:
            mass_NB = block_sums(flat, tile.columns.start, tokens)
        blocks = self.query_block[tile.rows]
        low, high = int(blocks[0]), int(blocks[-1]) + 1
        member = (blocks == torch.arange(low, high, device=blocks.device)[:, None]).to(flat.dtype)
        # weights of padding rows are zero, so that they count for nothing here.
        into = self.pooled[tile.item, tile.heads, low:high, first:last]
        into += (member * weight.view(H, 1, R)) @ mass_NB.reshape(H, R, -1)


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


def _block_size(key_tokens: int) -> int:
    """Keys whose moments have one middle: those of a block of the pooled map where that is near MIDDLE."""
    return key_tokens if MIDDLE // 2 <= key_tokens <= MIDDLE else MIDDLE
