"""Scores by name."""

from attnkit.attention.score.dot import Dot
from attnkit.attention.score.scaled_dot import ScaledDot

SCORES = (Dot, ScaledDot)
