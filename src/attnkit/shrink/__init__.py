"""Shrinking a trained network: what goes, by how little it is worth, and what that costs."""

from attnkit.shrink.shrinking import Shrunk, shrink, weigh

__all__ = ["Shrunk", "shrink", "weigh"]
