"""Factored attention: the map is a product of thin factors and need never be built."""

from dataclasses import dataclass

from attnkit.attention.base import Attention


@dataclass(frozen=True)
class Factored(Attention):
    """An attention that mixes values without a T x S map, and can still give its map for a look."""
