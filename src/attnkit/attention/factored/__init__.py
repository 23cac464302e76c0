"""Factored operators by name."""

FACTORED = ()
