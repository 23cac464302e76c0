"""Changes: what makes a built network a smaller one, one file a change."""

from attnkit.model.changes.base import Change
from attnkit.model.changes.bfloat16 import BFloat16
from attnkit.model.changes.calibrated import Feed
from attnkit.model.changes.drop_layers import DropLayers
from attnkit.model.changes.factorize_embedding import FactorizeEmbedding
from attnkit.model.changes.fake_integers import FakeIntegers
from attnkit.model.changes.int8_products import DynamicInt8, StaticInt8
from attnkit.model.changes.integer_weights import IntegerWeights
from attnkit.model.changes.low_rank import LowRank
from attnkit.model.changes.magnitude import Magnitude
from attnkit.model.changes.plain import (
    KINDS,
    apply_changes,
    change_from_plain,
    changes_from_plain,
    vocabulary_before,
)
from attnkit.model.changes.prune_vocabulary import PruneVocabulary
from attnkit.model.changes.remove_heads import RemoveHeads
from attnkit.model.changes.remove_units import RemoveUnits
from attnkit.model.changes.window import Window

__all__ = [
    "KINDS",
    "BFloat16",
    "Change",
    "DropLayers",
    "DynamicInt8",
    "FactorizeEmbedding",
    "FakeIntegers",
    "Feed",
    "IntegerWeights",
    "LowRank",
    "Magnitude",
    "PruneVocabulary",
    "RemoveHeads",
    "RemoveUnits",
    "StaticInt8",
    "Window",
    "apply_changes",
    "change_from_plain",
    "changes_from_plain",
    "vocabulary_before",
]
