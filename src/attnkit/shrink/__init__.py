"""Shrinking a trained network: what goes, by how little it is worth, how the rest is held, and what that costs."""

from attnkit.shrink.frontier import find_frontier
from attnkit.shrink.holding import Holding
from attnkit.shrink.shrinking import Shrunk, shrink, weigh
from attnkit.shrink.student import teach_student

__all__ = ["Holding", "Shrunk", "find_frontier", "shrink", "teach_student", "weigh"]
