"""Positions by name."""

from attnkit.attention.position.none import NoPosition

POSITIONS = (NoPosition,)
