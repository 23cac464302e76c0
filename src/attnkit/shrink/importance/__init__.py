"""Importance: what heads, inner units and layers are worth, one file a way of asking."""
