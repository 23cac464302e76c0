"""Diff: what changed between two captures of the same input, beside what changes anyway."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from attnkit.capture.captured import Capture, CapturedLayer
from attnkit.capture.diff_result import MEASURES, CaptureDiff, HeadChange
from attnkit.capture.divergence import pooled_divergences, row_divergences
from attnkit.capture.roles import roles_of_layer

# Layers by name, and by which time where one was called more than once.
Layers = dict[tuple[str, int], CapturedLayer]

NEGATIVE = "weights may be negative, and so no rows of shares"
OTHER_BLOCKS = "their pooled maps have blocks of other sizes; record both with the same number of blocks"
NO_MAP = "no map was kept on both sides; record both with level='maps' or 'full'"


def diff(first: Capture, second: Capture, null: Capture | Sequence[Capture] | None = None) -> CaptureDiff:
    """What changed in each head from `first` to `second`, ranked, beside the same from `first` to each of `null`.

    Per head: the mean over real queries of JSD(p_t, q_t) / ln 2, from exact rows where every side has them, else from
    pooled maps, which give no more than the rows would; and the change of entropy, span, distance, sink and role. A
    null is a capture on the same input of what should count as no change: the same number of updates on the source
    data, another seed, another kernel. Without one there is no verdict.

    Raises: ValueError where the captures are not of the same input.
    Source: Jain and Wallace (2019), Attention is not explanation, section 3, for JSD between maps.
    Cost: that of `row_divergences` a layer.
    """
    nulls = [null] if isinstance(null, Capture) else list(null or ())
    notes = _same_input(first, second, "the second")
    for number, one in enumerate(nulls):
        notes += _same_input(first, one, f"null {number + 1}")
    sides = [_by_name(one) for one in (first, second, *nulls)]
    missing = _missing(sides[0], sides[1], "the second") + _missing(sides[1], sides[0], "the first")
    changes: list[HeadChange] = []
    for key, before in sides[0].items():
        if key not in sides[1]:
            continue
        after = sides[1][key]
        beside = [side[key] for side in sides[2:] if key in side and _shape(side[key]) == _shape(before)]
        if len(beside) < len(nulls):
            missing.append(f"layer {before.name!r} is in {len(beside)} of {len(nulls)} nulls with the same shape")
        if before.heads != after.heads:
            missing.append(
                f"layer {before.name!r} has {before.heads} heads in the first and {after.heads} in the second: "
                "it is not known which are the same, and none was compared"
            )
            continue
        if _shape(before) != _shape(after):
            missing.append(f"layer {before.name!r} has other queries or keys in the second, and was not compared")
            continue
        roles = [_best_roles(capture, layer) for capture, layer in ((first, before), (second, after))]
        changes += _changes(before, after, beside, roles)
    told = tuple(dict.fromkeys(missing)), tuple(dict.fromkeys(notes))
    return CaptureDiff(_ranked(changes), len(nulls), *told, first.title, second.title)


def _same_input(first: Capture, other: Capture, called: str) -> list[str]:
    """Notes on what could not be checked.

    Raises: ValueError where tokens differ.
    """
    if not first.streams and not other.streams:
        return ["no tokens were recorded, so that nobody checked whether the inputs are the same"]
    if set(first.streams) != set(other.streams):
        told = [", ".join(sorted(one.streams)) or "none" for one in (first, other)]
        raise ValueError(f"captures of one input have the same texts; the first has {told[0]}, {called} {told[1]}")
    for stream, items in first.streams.items():
        others = other.streams[stream]
        if len(items) != len(others):
            raise ValueError(
                f"the first has {len(items)} items of {stream!r}, {called} {len(others)}; capture the same"
            )
        for item, (own, its) in enumerate(zip(items, others, strict=True)):
            if list(own) != list(its):
                pairs = enumerate(zip(own, its, strict=False))
                place = next((n for n, (a, b) in pairs if a != b), min(len(own), len(its)))
                told = [repr(tokens[place]) if place < len(tokens) else "no token" for tokens in (own, its)]
                raise ValueError(
                    f"maps are compared on the same input; in {stream!r} item {item} token {place} is {told[0]} in the "
                    f"first and {told[1]} in {called}"
                )
    return []


def _by_name(capture: Capture) -> Layers:
    found: Layers = {}
    for layer in capture.layers:
        time = 0
        while (layer.name, time) in found:
            time += 1
        found[layer.name, time] = layer
    return found


def _missing(here: Layers, there: Layers, called: str) -> list[str]:
    alone = [layer for key, layer in here.items() if key not in there]
    return [f"layer {layer.name!r} ({layer.heads} heads) is not in {called}" for layer in alone]


def _changes(
    before: CapturedLayer, after: CapturedLayer, nulls: list[CapturedLayer], roles: list[list[str | None]]
) -> list[HeadChange]:
    divergences, counted, basis = _divergences(before, after, nulls)
    means = [_mean(x, counted) for x in divergences]
    numbers = [_measured(layer) for layer in (before, after)]
    changes = []
    for head in range(before.heads):
        pairs = {
            name: (_number(numbers[0].get(name), head), _number(numbers[1].get(name), head))
            for name in MEASURES
            if name in numbers[0] and name in numbers[1]
        }
        changes.append(
            HeadChange(
                layer=before.name,
                head=head,
                divergence=_number(means[0], head) if means else None,
                basis=basis,
                nulls=tuple(value for x in means[1:] if (value := _number(x, head)) is not None),
                measures=pairs,
                roles=(roles[0][head], roles[1][head]),
            )
        )
    return changes


def _divergences(
    before: CapturedLayer, after: CapturedLayer, nulls: list[CapturedLayer]
) -> tuple[list[Tensor], Tensor, str]:
    """JSD to the second and to each null (B, H, R), how much each row counts (B, R), and what the rows are of."""
    layers = [before, after, *nulls]
    seen = [layer.seen for layer in layers if layer.seen is not None and layer.seen.q_BHTD.shape[1] == layer.heads]
    if any(not one.spec.claims().nonnegative for one in seen):
        return [], torch.zeros(0), NEGATIVE
    real = _real(before) & _real(after)
    if len(seen) == len(layers):
        return row_divergences(seen[0], seen[1:]), real.double(), "rows"
    pooled = [layer.pooled for layer in layers if layer.pooled is not None]
    if len(pooled) < len(layers):
        return [], torch.zeros(0), NO_MAP
    if any(bool((one.mass_BHRC < -1e-6).any()) for one in pooled):
        return [], torch.zeros(0), NEGATIVE
    if any((one.query_tokens, one.key_tokens) != (pooled[0].query_tokens, pooled[0].key_tokens) for one in pooled):
        return [], torch.zeros(0), OTHER_BLOCKS
    size, blocks = pooled[0].query_tokens, pooled[0].mass_BHRC.shape[2]
    block = (torch.arange(before.T) // size).clamp(max=blocks - 1)
    weight = torch.zeros(before.batch, blocks, dtype=torch.float64).index_add_(1, block, real.double().cpu())
    return pooled_divergences(pooled[0], pooled[1:]), weight, "pooled"


def _shape(layer: CapturedLayer) -> tuple[int, int, int, int]:
    return layer.batch, layer.heads, layer.T, layer.S


def _real(layer: CapturedLayer) -> Tensor:
    if layer.query_keep is not None:
        return layer.query_keep.expand(layer.batch, layer.T)
    return torch.ones(layer.batch, layer.T, dtype=torch.bool)


def _mean(x_BHR: Tensor, weight_BR: Tensor) -> Tensor:
    """The mean of each head (H,), over rows as much as each counts; nan where none does."""
    weight = weight_BR[:, None].to(x_BHR.device)
    return ((x_BHR.double() * weight).sum((0, 2)) / weight.sum((0, 2))).cpu()


def _measured(layer: CapturedLayer) -> dict[str, Tensor]:
    """The mean of each of MEASURES over real queries, (H,)."""
    real = _real(layer)
    if layer.rows is not None:
        real = real[:, layer.rows.flatten()] if layer.rows.dim() == 1 else real.gather(1, layer.rows)
    found = {name: layer.statistics[name] for name in MEASURES if name in layer.statistics}
    return {name: _mean(x, real.double()) for name, x in found.items()}


def _number(x_H: Tensor | None, head: int) -> float | None:
    if x_H is None or math.isnan(float(x_H[head])):
        return None
    return float(x_H[head])


def _best_roles(capture: Capture, layer: CapturedLayer) -> list[str | None]:
    """The best name of each head, None where it gets none."""
    roles = layer.roles
    if roles is None:
        tokens = None if layer.key_stream is None else capture.streams.get(layer.key_stream)
        roles = [[one.to_dict() for one in scores] for scores in roles_of_layer(layer, tokens)]
    return [next((str(one["role"]) for one in scores if one["named"]), None) for scores in roles]


def _ranked(changes: list[HeadChange]) -> tuple[HeadChange, ...]:
    """The furthest beyond its null first; what could not be compared last."""
    return tuple(sorted(changes, key=lambda one: -math.inf if one.excess is None else one.excess, reverse=True))
