"""Scores by name."""

from attnkit.attention.score.scaled_dot import ScaledDot

SCORES = (ScaledDot,)
