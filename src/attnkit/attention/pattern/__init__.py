"""Patterns by name."""

from attnkit.attention.pattern.base import Both, Either, Outside
from attnkit.attention.pattern.causal import Causal
from attnkit.attention.pattern.full import Full

PATTERNS = (Full, Causal, Both, Either, Outside)
