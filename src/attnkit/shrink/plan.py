"""The plan: which changes make a run as small as is wished, and what was found on the way."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from attnkit.errors import UsageError
from attnkit.model.changes import Change, DropLayers, RemoveHeads, RemoveUnits, apply_changes
from attnkit.model.changes.base import layers_of
from attnkit.shrink.choose import Scores, amount, least_heads, least_units
from attnkit.shrink.parent import Parent
from attnkit.shrink.weigh import Weighed

KINDS: dict[str, type[Change]] = {"heads": RemoveHeads, "units": RemoveUnits, "layers": DropLayers}


@dataclass(frozen=True)
class Wish:
    """How much of each goes: a share such as "50%" or a number; empty: nothing. Units are counted a layer."""

    heads: str = ""
    units: str = ""
    layers: str = ""

    def __bool__(self) -> bool:
        return bool(self.kinds)

    @property
    def kinds(self) -> dict[str, type[Change]]:
        """What is asked for."""
        return {name: kind for name, kind in KINDS.items() if getattr(self, name)}


@dataclass
class Plan:
    """Changes in the order in which they are made, and the scores by which they were chosen."""

    changes: tuple[Change, ...] = ()
    found: dict[str, Any] = field(default_factory=dict)


def make_plan(parent: Parent, wish: Wish, weighed: Weighed, say: Callable[[str], None]) -> Plan:
    """Choose layers first, then heads, then units, each on the network that the choices before it leave.

    Raises: UsageError where there is not as much as is to go, or heads are tied to one another.
    """
    plan, network = Plan(), parent.network()
    if wish.layers:
        layers = len(layers_of(network))
        count = amount(wish.layers, layers, "layers")
        if count == layers:
            raise UsageError(f"--layers {wish.layers} leaves no layer of {layers}; leave one")
        _make(plan, network, parent, (DropLayers(_layers(network, weighed, count, plan)),))
        say(f"of {layers} layers {', '.join(map(str, plan.found['dropped']))} go")
    if wish.heads:
        scores = weighed.heads(network)
        total = sum(map(len, scores.values()))
        changes = least_heads(scores, amount(wish.heads, total, "heads")) if total else ()
        if not changes:
            raise UsageError(f"{parent.run.path} has no head left to go; leave --heads out")
        plan.found["heads"] = _listed(scores)
        _make(plan, network, parent, changes)
        gone = ", ".join(f"{len(one.heads)} of layer {one.layer}" for one in changes)
        say(f"of {total} heads go {gone} (by {weighed.importance})")
    if wish.units:
        scores = weighed.units(network)
        units = least_units(scores, wish.units)
        plan.found["units"] = _listed(scores)
        _make(plan, network, parent, units)
        say(f"of each layer go {len(units[0].units)} of {len(scores[units[0].layer])} inner units")
    return plan


def _layers(network: nn.Module, weighed: Weighed, count: int, plan: Plan) -> tuple[int, ...]:
    """One layer after another, the least important of those that are left."""
    network = copy.deepcopy(network)
    left, gone = list(range(len(layers_of(network)))), []
    plan.found["layers"] = []
    for _ in range(count):
        scores = weighed.layers(network)
        plan.found["layers"].append(dict(zip(map(str, left), scores, strict=True)))
        least = min(range(len(scores)), key=lambda place: scores[place])
        DropLayers((least,)).apply(network)
        gone.append(left.pop(least))
    plan.found["dropped"] = sorted(gone)
    return tuple(sorted(gone))


def _make(plan: Plan, network: nn.Module, parent: Parent, changes: Sequence[Change]) -> None:
    try:
        apply_changes(network, changes)
    except ValueError as error:
        raise UsageError(f"{parent.run.path} cannot be shrunk so: {error}") from None
    plan.changes += tuple(changes)


def _listed(scores: Scores) -> dict[str, list[float]]:
    return {str(layer): list(each) for layer, each in scores.items()}
