"""Changes to and from plain data: {kind = "remove_heads", layer = 0, heads = [1, 3]}, as TOML and JSON hold them."""

import dataclasses
import typing
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from torch import nn

from attnkit.attention.nearest import nearest
from attnkit.attention.plain import plain_value
from attnkit.model.changes.base import Change
from attnkit.model.changes.bfloat16 import BFloat16
from attnkit.model.changes.calibrated import Calibrated, Feed
from attnkit.model.changes.drop_layers import DropLayers
from attnkit.model.changes.factorize_embedding import FactorizeEmbedding
from attnkit.model.changes.fake_integers import FakeIntegers
from attnkit.model.changes.int8_products import DynamicInt8, StaticInt8
from attnkit.model.changes.integer_weights import IntegerWeights
from attnkit.model.changes.low_rank import LowRank
from attnkit.model.changes.magnitude import Magnitude
from attnkit.model.changes.prune_vocabulary import PruneVocabulary
from attnkit.model.changes.remove_heads import RemoveHeads
from attnkit.model.changes.remove_units import RemoveUnits
from attnkit.model.changes.window import Window

_CHANGES: tuple[type[Change], ...] = (
    RemoveHeads, RemoveUnits, DropLayers, Window, PruneVocabulary, LowRank, FactorizeEmbedding, Magnitude, FakeIntegers,
    IntegerWeights, BFloat16, DynamicInt8, StaticInt8,
)  # fmt: skip
KINDS: dict[str, type[Change]] = {change.kind: change for change in _CHANGES}


def change_from_plain(plain: Any) -> Change:
    """The change that a table of plain values stands for.

    Raises: ValueError on an unknown kind or field (naming the nearest), a missing field, or a value of the wrong sort.
    """
    if not isinstance(plain, Mapping) or not isinstance(plain.get("kind"), str):
        raise ValueError(
            f"a change is a table with a kind, such as {{kind = 'drop_layers', layers = [1]}}; got {plain!r}"
        )
    kind = KINDS.get(plain["kind"])
    if kind is None:
        known = ", ".join(KINDS)
        raise ValueError(
            f"there is no change of kind {plain['kind']!r}{nearest(plain['kind'], KINDS)}; known are {known}"
        )
    fields = {field.name: field for field in dataclasses.fields(kind)}
    given = {key: value for key, value in plain.items() if key != "kind"}
    for key in given:
        if key not in fields:
            raise ValueError(
                f"{kind.kind} has no field {key!r}{nearest(str(key), fields)}; it takes {', '.join(fields)}"
            )
    for name, field in fields.items():
        if name not in given and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ValueError(f"{kind.kind} needs the field {name!r}")
    hints = typing.get_type_hints(kind)
    return kind(**{key: plain_value(value, hints[key], f"{kind.kind}.{key}") for key, value in given.items()})


def changes_from_plain(plain: Iterable[Any]) -> tuple[Change, ...]:
    """The changes that tables stand for, in order.

    Raises: ValueError as `change_from_plain` does, and where one comes behind another of a later stage.
    """
    changes = tuple(change_from_plain(one) for one in plain)
    for number, (one, other) in enumerate(pairwise(changes), 1):
        if other.stage < one.stage:
            raise ValueError(
                f"change {number} ({other.kind}) cannot come behind {one.kind}: first comes what goes, then ranks, "
                "then zeros, then how weights are stored"
            )
    return changes


def vocabulary_before(changes: Iterable[Change], size: int) -> int:
    """The tokens that the network knew before `changes`, of which it knows `size` after them.

    Raises: ValueError where it cannot have known so many.
    """
    for change in reversed(tuple(changes)):
        size = change.vocabulary_before(size)
    return size


def apply_changes(network: nn.Module, changes: Iterable[Change], feed: Feed | None = None) -> None:
    """Change `network` in place, one change after the other; some look at what it makes of the texts of `feed`.

    Raises: ValueError naming the change that it cannot take.
    """
    for number, change in enumerate(changes):
        try:
            if feed is not None and isinstance(change, Calibrated):
                change.apply_over(network, feed)
            else:
                change.apply(network)
        except ValueError as error:
            raise ValueError(f"change {number} ({change.kind}) cannot be made: {error}") from None
