"""Modules around any attention: layers, pooling, caches and taps."""

from attnkit.layers.adaptive_mixing import AdaptiveMixing
from attnkit.layers.attention_layer import AttentionLayer, new_caches
from attnkit.layers.attention_pooling import AttentionPooling
from attnkit.layers.cache import KeyValueCache
from attnkit.layers.dropout import Dropout
from attnkit.layers.output_gate import OutputGate
from attnkit.layers.taps import Seen, tapped

__all__ = [
    "AdaptiveMixing",
    "AttentionLayer",
    "AttentionPooling",
    "Dropout",
    "KeyValueCache",
    "OutputGate",
    "Seen",
    "new_caches",
    "tapped",
]
