"""Refinements by name."""

REFINEMENTS = ()
