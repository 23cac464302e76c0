"""Runtimes of small devices: models of a few fixed lengths, converted and tried in an environment of their own."""
