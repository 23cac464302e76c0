"""Positions by name."""

from attnkit.attention.position.alibi import Alibi
from attnkit.attention.position.learned import Learned
from attnkit.attention.position.none import NoPosition
from attnkit.attention.position.relative_bias import ClippedBias, RelativeBias
from attnkit.attention.position.rotary import Rotary
from attnkit.attention.position.sinusoid import Sinusoid

POSITIONS = (NoPosition, Sinusoid, Learned, Rotary, Alibi, RelativeBias, ClippedBias)

__all__ = ["POSITIONS", "Alibi", "ClippedBias", "Learned", "NoPosition", "RelativeBias", "Rotary", "Sinusoid"]
