"""Scores by name."""

from attnkit.attention.score.additive import Additive
from attnkit.attention.score.cosine import Cosine
from attnkit.attention.score.dot import Dot
from attnkit.attention.score.euclidean import Euclidean
from attnkit.attention.score.general import General
from attnkit.attention.score.location import Location
from attnkit.attention.score.scaled_dot import ScaledDot
from attnkit.attention.score.soft_cap import SoftCap

SCORES = (Dot, ScaledDot, General, Additive, Cosine, Euclidean, Location, SoftCap)

__all__ = ["SCORES", "Additive", "Cosine", "Dot", "Euclidean", "General", "Location", "ScaledDot", "SoftCap"]
