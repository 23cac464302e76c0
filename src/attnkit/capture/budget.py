"""What a capture gives up to fit a budget: in one stated order, step by step, the least missed first."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from attnkit.capture.captured import Capture, CapturedLayer, Edges, Pooled
from attnkit.capture.statistics import STATISTICS

# What is counted per key; everything else is counted per query.
PER_KEY = frozenset(name for name, one in STATISTICS.items() if one.axis == "key")
_MAIN = frozenset(
    {"total", "entropy", "entropy_share", "distance", "sink", "diagonal", "previous", "largest_weight", "received"}
)
_FEW = frozenset({"entropy", "distance", "sink", "received"})
_FEWER = frozenset({"entropy", "distance", "sink"})
_LEAST = frozenset({"entropy"})
# Fewer queries than these are not thinned out.
_FEWEST_ROWS = 64


@dataclass(frozen=True)
class Detail:
    """How much of a capture is written.

    `inputs`: queries, keys and values as they are, as short floats, or not. `levels`: statistics and pooled maps in 256
    levels a head, not as short floats. `edges`: keys of a query at most. `every`: one query of so many has its
    statistics. `blocks`: sides of a pooled map at most; 0 leaves it out. `statistics`: the names that stay.
    """

    inputs: Literal["whole", "short", "none"] = "whole"
    levels: bool = False
    edges: int | None = None
    every: int = 1
    blocks: int | None = None
    statistics: frozenset[str] | None = None


STEPS: tuple[dict[str, Any], ...] = (
    {"inputs": "short"},
    {"inputs": "none"},
    {"levels": True},
    {"edges": 4},
    {"edges": 2},
    {"edges": 1},
    {"edges": 0},
    {"every": 2},
    {"every": 4},
    {"statistics": _MAIN},
    {"every": 8},
    {"every": 16},
    {"blocks": 32},
    {"statistics": _FEW},
    {"blocks": 16},
    {"statistics": _FEWER},
    {"blocks": 8},
    {"statistics": _LEAST},
    {"blocks": 0},
    {"every": 64},
)


def details() -> Iterator[Detail]:
    """Everything, then ever less: each step of STEPS on top of those before it."""
    detail = Detail()
    yield detail
    for step in STEPS:
        detail = replace(detail, **step)
        yield detail


def dropped(capture: Capture, detail: Detail) -> list[str]:
    """A sentence for each thing that `detail` takes from this very capture."""
    layers = capture.layers
    said = []
    if detail.inputs == "none" and any(layer.seen for layer in layers):
        said.append("queries, keys and values are left out, so rows cannot be made again")
    elif detail.inputs == "short" and any(layer.seen for layer in layers):
        said.append("queries, keys and values are within 1e-3 of themselves")
    if detail.levels:
        said.append("statistics and pooled maps are in 256 levels a head")
    widest = max((layer.edges.weight_BHTN.shape[-1] for layer in layers if layer.edges), default=0)
    if detail.edges is not None and widest > detail.edges:
        said.append(f"{detail.edges or 'none'} of the {widest} heaviest keys of a query are kept")
    thinned = max((every_of(layer, detail.every) for layer in layers), default=1)
    if thinned > 1:
        said.append(f"statistics per query are those of one query in {thinned}")
    largest = max((max(layer.pooled.mass_BHRC.shape[2:]) for layer in layers if layer.pooled), default=0)
    if detail.blocks is not None and largest > detail.blocks:
        kept = f"have at most {detail.blocks} blocks a side, not {largest}" if detail.blocks else "are left out"
        said.append(f"pooled maps {kept}")
    gone = sorted({name for layer in layers for name in layer.statistics if not stays(name, detail)})
    if gone:
        said.append(f"without the statistics {', '.join(gone)}")
    return said


def stays(name: str, detail: Detail) -> bool:
    """True where the statistic is kept."""
    return detail.statistics is None or name in detail.statistics


def every_of(layer: CapturedLayer, every: int) -> int:
    """How far apart the queries are whose statistics stay: none is left out where there are few."""
    rows = layer.T if layer.rows is None else len(layer.rows)
    return max(1, min(every, rows // _FEWEST_ROWS))


def thinned_rows(layer: CapturedLayer, every: int) -> Tensor | None:
    """The queries whose statistics stay, None where that is all of them."""
    step = every_of(layer, every)
    if step == 1:
        return layer.rows
    return torch.arange(0, layer.T, step) if layer.rows is None else layer.rows[::step]


def thinned_statistic(layer: CapturedLayer, name: str, every: int) -> Tensor:
    """The statistic at those queries."""
    values = layer.statistics[name]
    return values if name in PER_KEY else values[..., :: every_of(layer, every)]


def fewer_edges(edges: Edges, count: int | None) -> Edges:
    """The heaviest `count` keys of each query."""
    return edges if count is None else Edges(edges.weight_BHTN[..., :count], edges.key_BHTN[..., :count])


def coarser(layer: CapturedLayer, pooled: Pooled, blocks: int | None) -> Pooled:
    """The same map in at most `blocks` blocks a side: keys summed, queries in the mean over the real ones.

    Cost: one pass over the map.
    """
    R, C = pooled.mass_BHRC.shape[2:]
    if blocks is None or max(R, C) <= blocks:
        return pooled
    return joined(layer, pooled, math.ceil(R / blocks), math.ceil(C / blocks))


def joined(layer: CapturedLayer, pooled: Pooled, down: int, across: int) -> Pooled:
    """The same map with `down` x `across` blocks as one: keys summed, queries in the mean over the real ones.

    Cost: one pass over the map.
    """
    real = torch.ones(1, layer.T) if layer.query_keep is None else layer.query_keep.float()
    counts_BR = _summed(real, pooled.query_tokens, 1)
    if layer.rows is not None:
        # A block of which no query was sampled holds nothing, and counts for nothing.
        counts_BR = counts_BR * (pooled.mass_BHRC != 0).any(-1).any(1)
    counts_BR = counts_BR[:, None, :, None]
    whole = _summed(_summed(pooled.mass_BHRC.float() * counts_BR, down, 2), across, 3)
    return Pooled(
        whole / _summed(counts_BR, down, 2).clamp(min=1.0), pooled.query_tokens * down, pooled.key_tokens * across
    )


def _summed(x: Tensor, size: int, dim: int) -> Tensor:
    """Sums over runs of `size` along a dimension; the last run may be shorter."""
    return torch.stack([part.sum(dim) for part in x.split(size, dim)], dim)
