"""Augmentation of texts: noise on their words, one file an operation."""

from attnkit.data.augment.augmenter import Augmenter
from attnkit.data.augment.replace import read_synonyms

__all__ = ["Augmenter", "read_synonyms"]
