"""The record: recipe, run directory, checkpoint, log."""
