"""What a sweep counts: tile by tile, each number in as few passes as it takes."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.heads import share_heads
from attnkit.attention.where import Where
from attnkit.capture.sweep import HIDDEN, Tile
from attnkit.capture.sweep_moments import moments
from attnkit.capture.sweep_places import MIDDLE, Places, Stretch, places_of, stretch_of
from attnkit.capture.sweep_sums import Asked, Sums, sums_of, together
from attnkit.kernels.rows.place import Space

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
        self.real_BT, self.scaled = real_BT, False
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
        self._asked = Asked.of(wanted, extras.edges, extras.key_tokens)
        self._space = Space(like.dtype, like.device)
        self._places: dict[int, Places] = {}
        self._stretch: tuple[int, slice, slice, Stretch] | None = None
        self._held: list[tuple[slice, Sums]] = []

    def add(self, tile: Tile) -> None:
        """Count one tile."""
        key = tile.item, tile.rows, tile.columns
        if self._stretch is None or self._stretch[:3] != key:
            self._flush()
            self._stretch = *key, stretch_of(self._of_item(tile.item), tile.rows, tile.columns)
        v = None if self.v_BHSE is None else self.v_BHSE[tile.item]
        sums = sums_of(tile, self._places[tile.item], self._stretch[3], self._asked, v, self._space)
        self._held.append((tile.heads, sums))
        self.scaled = tile.scores_HRC is not None
        if self.received is not None:
            _, weight, _ = self._weigh(sums, tile.item, tile.rows)
            into = self.received[tile.item, tile.heads, None, tile.columns]
            into.baddbmm_(weight[:, None], tile.weights_HRC)

    def finished(self) -> dict[str, Tensor]:
        """The statistics, by name."""
        self._flush()
        found = dict(self.query)
        if self.received is not None:
            found["received"] = self.received
            if "received_norm" in self.wanted and self.v_BHSE is not None:
                found["received_norm"] = self.received * self.v_BHSE.norm(dim=-1)
        if self.pooled is not None:
            B, T = self.pooled.shape[0], self.where.T
            ones = self.pooled.new_ones(B, T) if self.real_BT is None else self.real_BT.to(self.pooled.dtype)
            counts = ones.new_zeros(B, self.pooled.shape[2]).index_add_(1, self.query_block, ones)
            self.pooled /= counts.clamp(min=1.0)[:, None, :, None]
        return {name: value for name, value in found.items() if name in self.wanted}

    def _of_item(self, item: int) -> Places:
        if item not in self._places:
            own = self.where.item(item)
            self._places[item] = places_of(own, self._size, self._space.dtype, self.placed)
        return self._places[item]

    def _weigh(self, sums: Sums, item: int, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """What makes shares of the sums, what makes weights of the map of them, and where there is something at all."""
        whole = sums.total != 0
        if sums.seen is not None:
            whole = whole & sums.seen
        if self.real_BT is not None:
            whole = whole & self.real_BT[item, rows]
        divisor = sums.total.where(whole, 1.0)
        factor = divisor.reciprocal() if self.scaled else torch.ones_like(divisor)
        return divisor, factor.where(whole, 0.0), whole

    def _flush(self) -> None:
        """Statistics of the rows whose heads have all been counted, from the few numbers kept of them."""
        if self._stretch is None or not self._held:
            return
        item, rows, columns, stretch = self._stretch
        heads = torch.cat([torch.arange(one.start, one.stop) for one, _ in self._held]).to(self._space.device)
        sums = together([one for _, one in self._held])
        self._held = []
        divisor, weight, whole = self._weigh(sums, item, rows)

        def put(name: str, value_HR: Tensor, there: Tensor | None = None) -> None:
            if name in self.query:
                value = value_HR.where(whole if there is None else there, 0.0)
                self.query[name][item, heads, rows] = value.to(self._space.dtype)

        put("total", sums.total * weight)
        if self._asked.orders > 1:
            held = sums.heavy, sums.heavy_weights
            for name, value in moments(sums.moments, sums.near, *held, self._places[item], stretch).items():
                put(name, value)
        if sums.dots is not None:
            # -sum p ln p = ln m - (sum w ln w) / m with m the row's sum.
            entropy = (divisor.log() - sums.dots / divisor).clamp(min=0.0)
            put("entropy", entropy)
            put("span", entropy.exp())
            if sums.met is not None:
                share = entropy / sums.met.clamp(min=2).to(entropy.dtype).log()
                put("entropy_share", share, whole & (sums.met > 1))
        if sums.beside is not None:
            found = (sums.beside * weight[..., None]).masked_fill(~stretch.there, 0.0)
            for index, name in enumerate(_BESIDE):
                put(name, found[..., index])
        if sums.top is not None:
            put("largest_weight", (sums.top.exp() if self.scaled else sums.top) * weight)
        if sums.mixed is not None:
            put("value_norm", sums.mixed * weight)
        if sums.logit is not None:
            may = sums.logit > 0.5 * HIDDEN
            put("largest_logit", sums.logit, self._allowed(may if sums.seen is None else sums.seen, item, rows))
        self._keep_edges(sums, weight, item, heads, rows, columns)
        self._keep_pooled(sums, weight, item, heads, rows, columns)

    def _allowed(self, may: Tensor, item: int, rows: slice) -> Tensor:
        return may if self.real_BT is None else may & self.real_BT[item, rows]

    def _keep_edges(self, sums: Sums, weight: Tensor, item: int, heads: Tensor, rows: slice, columns: slice) -> None:
        if self.edges is None or sums.edge_weight is None or sums.edge_column is None:
            return
        value = sums.edge_weight * weight[..., None]
        key = (sums.edge_column + columns.start).masked_fill(value == 0, -1)
        held = value.shape[-1]
        self.edges[0][item, heads, rows, :held] = value
        self.edges[1][item, heads, rows, :held] = key

    def _keep_pooled(self, sums: Sums, weight: Tensor, item: int, heads: Tensor, rows: slice, columns: slice) -> None:
        if self.pooled is None:
            return
        tokens = self.extras.key_tokens
        first, last = columns.start // tokens, -(-columns.stop // tokens)
        mass_HRB = sums.moments[:, :, 0].mT if sums.pooled is None else sums.pooled
        blocks = self.query_block[rows]
        low, high = int(blocks[0]), int(blocks[-1]) + 1
        member = (blocks == torch.arange(low, high, device=blocks.device)[:, None]).to(weight.dtype)
        # The weight of a padding row is zero, so that it counts for nothing here.
        self.pooled[item, heads, low:high, first:last] += (member * weight[:, None]) @ mass_HRB


def _block_size(key_tokens: int) -> int:
    """Keys whose moments have one middle: those of a block of the pooled map where that is near MIDDLE."""
    return key_tokens if MIDDLE // 2 <= key_tokens <= MIDDLE else MIDDLE
