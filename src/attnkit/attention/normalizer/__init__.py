"""Normalizers by name."""

from attnkit.attention.normalizer.softmax import Softmax

NORMALIZERS = (Softmax,)
