"""Patterns by name."""

from attnkit.attention.pattern.anchors import Anchors
from attnkit.attention.pattern.base import Both, Either, Outside
from attnkit.attention.pattern.causal import Causal
from attnkit.attention.pattern.dilated import Dilated
from attnkit.attention.pattern.documents import Documents
from attnkit.attention.pattern.fixed import Fixed
from attnkit.attention.pattern.full import Full
from attnkit.attention.pattern.neighbours_2d import Neighbours2D
from attnkit.attention.pattern.prefix import Prefix
from attnkit.attention.pattern.random_blocks import RandomBlocks
from attnkit.attention.pattern.segments import Segments
from attnkit.attention.pattern.strided import Strided
from attnkit.attention.pattern.window import Window

PATTERNS = (
    Full,
    Causal,
    Window,
    Dilated,
    Strided,
    Fixed,
    Segments,
    Documents,
    Anchors,
    Prefix,
    RandomBlocks,
    Neighbours2D,
    Both,
    Either,
    Outside,
)

__all__ = [
    "PATTERNS",
    "Anchors",
    "Both",
    "Causal",
    "Dilated",
    "Documents",
    "Either",
    "Fixed",
    "Full",
    "Neighbours2D",
    "Outside",
    "Prefix",
    "RandomBlocks",
    "Segments",
    "Strided",
    "Window",
]
