"""Augmenter: what may happen to a text, and what does happen to a row at a time."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from attnkit.data.augment.delete import delete
from attnkit.data.augment.insert import insert
from attnkit.data.augment.replace import replace
from attnkit.data.augment.swap import swap
from attnkit.data.augment.typos import typos
from attnkit.data.augment.words import Words


@dataclass(frozen=True)
class Augmenter:
    """`share` of the texts are altered; the others are shares of an altered text's words, of which at least one.

    In this order: synonyms, words put in, words that change places, words left out, typing errors.
    """

    share: float = 1.0
    swap: float = 0.0
    delete: float = 0.0
    insert: float = 0.0
    typos: float = 0.0
    replace: float = 0.0
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def altered(self, text: str, draw: random.Random) -> str:
        """The text with everything done to it that is asked for; one without words is left as it is."""
        words = Words.of(text)
        if not words.words:
            return text
        if self.replace:
            words = replace(words, self.replace, self.synonyms, draw)
        for operation, share in ((insert, self.insert), (swap, self.swap), (delete, self.delete), (typos, self.typos)):
            if share:
                words = operation(words, share, draw)
        return words.text

    def row(self, text: str, pair: str | None, seed: int, time: int, number: int) -> tuple[str, str | None] | None:
        """Row `number` (with its pair) as it is at `time`; None where it is as ever.

        It depends on these numbers alone, so that whoever asks, and however often, is told the same.
        """
        draw = random.Random(f"{seed}/{time}/{number}")
        if draw.random() >= self.share:
            return None
        changed = self.altered(text, draw), None if pair is None else self.altered(pair, draw)
        return None if changed == (text, pair) else changed
