"""Changes: what makes a built network a smaller one, one file a change."""

from attnkit.model.changes.base import Change
from attnkit.model.changes.drop_layers import DropLayers
from attnkit.model.changes.plain import KINDS, apply_changes, change_from_plain, changes_from_plain
from attnkit.model.changes.remove_heads import RemoveHeads
from attnkit.model.changes.remove_units import RemoveUnits

__all__ = [
    "KINDS",
    "Change",
    "DropLayers",
    "RemoveHeads",
    "RemoveUnits",
    "apply_changes",
    "change_from_plain",
    "changes_from_plain",
]
