"""Roles of a captured layer: from the call itself where it was kept, else from what was counted of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.captured import CapturedLayer
from attnkit.capture.roles.decide import NOTHING, ROLES, filled, roles_of, undecided
from attnkit.capture.roles.diffuse import KEYS as FLAT_BELOW
from attnkit.capture.roles.role import NEEDS_PLACE
from attnkit.capture.roles.score import RoleScore, ranked

# The statistic that holds each query's share of a role.
COUNTED = {"sink": "sink", "previous token": "previous", "next token": "next", "diagonal": "diagonal"}
NEEDS_MAP = "it needs the map, and neither queries and keys nor roles were kept; record with level='full' or with roles"


def roles_of_layer(layer: CapturedLayer, tokens: Sequence[Sequence[str]] | None = None) -> list[list[RoleScore]]:
    """Every role of every head of a layer, named ones first; `tokens` are those of its keys.

    Without the call itself only sink, previous, next, diagonal and diffuse can be decided, without examples, from the
    statistics `total`, `entropy`, `entropy_share` and their own; the rest says what it needs.

    Raises: ValueError where tokens and keys are not as many.
    Cost: that of `roles_of`, or nothing beside the statistics.
    """
    if layer.seen is not None:
        entropy = layer.statistics.get("entropy") if layer.rows is None else None
        return roles_of(layer.seen, tokens, layer.kind, entropy_BHT=entropy)
    seen = _keys_seen(layer)
    if seen is None:
        return undecided(layer.heads, NEEDS_MAP)
    total = layer.statistics.get("total")
    heads: list[list[RoleScore]] = [[] for _ in range(layer.heads)]
    for role in ROLES:
        for head in range(layer.heads):
            bare = RoleScore(role.name, role.threshold)
            heads[head].append(_decided(layer, bare, head, seen, total))
    return [ranked(scores) for scores in heads]


@dataclass(frozen=True, eq=False)
class _Keys:
    """How many keys each counted query may see, and the index of each of these queries."""

    seen_BT: Tensor
    real_BT: Tensor
    index_T: Tensor


def _keys_seen(layer: CapturedLayer) -> _Keys | None:
    """n_t from entropy_t and its share of ln n_t; None where no head's entropy says it."""
    entropy, share = layer.statistics.get("entropy"), layer.statistics.get("entropy_share")
    if entropy is None or share is None:
        return None
    # n is the same for all heads, and the flattest says it with the most digits.
    flat = share.double().argmax(1, keepdim=True)
    most, whole = share.double().gather(1, flat).squeeze(1), entropy.double().gather(1, flat).squeeze(1)
    said = most > 1e-4
    seen = torch.where(said, (whole / most.clamp(min=1e-4)).exp().round(), 1.0)
    index = layer.rows if layer.rows is not None else torch.arange(layer.T, device=seen.device)
    index = index.reshape(-1) if index.dim() == 1 else index
    real = torch.ones_like(seen, dtype=torch.bool)
    if layer.query_keep is not None and index.dim() == 1:
        real = layer.query_keep.expand(layer.batch, -1)[:, index]
    return _Keys(seen, real & said, index)


def _decided(layer: CapturedLayer, bare: RoleScore, head: int, keys: _Keys, total: Tensor | None) -> RoleScore:
    counted = keys.real_BT & (keys.seen_BT >= 2)
    if bare.role == "diffuse":
        share = layer.statistics["entropy_share"][:, head].double()
        return _filled(bare, share, torch.zeros_like(share), counted & (keys.seen_BT >= FLAT_BELOW))
    name = COUNTED.get(bare.role)
    if name is None or name not in layer.statistics or total is None:
        return RoleScore(bare.role, bare.threshold, reason=_why(layer, name))
    whole = total[:, head].double()
    share = layer.statistics[name][:, head].double() / whole.masked_fill(whole == 0, 1.0)
    if bare.role == "next token":
        # Where no head of the layer gives it anything, it cannot be seen.
        counted = counted & (layer.statistics[name] > 0).any(1)
    elif bare.role in ("sink", "previous token") and layer.kind == "self":
        counted = counted & ~_first(layer, keys)
    return _filled(bare, share, 1.0 / keys.seen_BT.clamp(min=1.0), counted)


def _why(layer: CapturedLayer, name: str | None) -> str:
    if name is None:
        return NEEDS_PLACE if layer.kind != "self" else NEEDS_MAP
    return layer.undefined.get(name, f"it needs the statistics total and {name}, which were not recorded")


def _first(layer: CapturedLayer, keys: _Keys) -> Tensor:
    """True at the first real query, which is the first token; none is where the queries are the last of the keys."""
    if layer.query_keep is not None:
        return keys.index_T == layer.query_keep.to(torch.int64).argmax(-1)[:, None]
    return (keys.index_T == (0 if layer.T == layer.S else -1))[None]


def _filled(bare: RoleScore, share_BT: Tensor, chance_BT: Tensor, counted_BT: Tensor) -> RoleScore:
    weight = counted_BT.double()
    queries = weight.sum(-1)
    if not bool(queries.any()):
        return RoleScore(bare.role, bare.threshold, reason=NOTHING)
    score, chance = ((x * weight).sum(-1) / queries.clamp(min=1.0) for x in (share_BT, chance_BT))
    return filled(bare, score, chance, queries)
