"""A text as words and what stands between them, so that words can be altered and the rest stays as it was."""

import random
import re
from dataclasses import dataclass

from attnkit.data.tokens.markup import TAG

# A character of a script without spaces is a word by itself.
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f"
# All but white space and punctuation, so that letters keep their marks in every script.
_BETWEEN = r"\s!-/:-@\[-`{-~\u00a1-\u00bf\u2000-\u206f\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65"
_LETTER = rf"[^{_BETWEEN}{_UNSPACED}]"
# A tag is found first and is no word.
_WORD = re.compile(rf"{TAG}|(?P<word>[{_UNSPACED}]|{_LETTER}+(?:['’]{_LETTER}+)*)")
_ALONE = re.compile(f"[{_UNSPACED}]")


@dataclass(frozen=True)
class Words:
    """n words and the n + 1 gaps before, between and behind them."""

    words: tuple[str, ...]
    gaps: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "Words":
        """The words of a text; HTML tags, punctuation and white space are gaps."""
        words, gaps, end = [], [], 0
        for found in _WORD.finditer(text):
            if found["word"] is not None:
                words.append(found["word"])
                gaps.append(text[end : found.start()])
                end = found.end()
        return cls(tuple(words), (*gaps, text[end:]))

    @property
    def text(self) -> str:
        """The words with their gaps."""
        return "".join(gap + word for gap, word in zip(self.gaps, (*self.words, ""), strict=True))


def count_of(share: float, words: int) -> int:
    """How many of so many words a share is: the nearest number, and at least one where both are more than nothing."""
    return min(words, max(1, round(share * words))) if share > 0 else 0


def places(candidates: list[int], count: int, draw: random.Random) -> list[int]:
    """Up to `count` of the candidates, each at most once, in ascending order."""
    return sorted(draw.sample(candidates, min(count, len(candidates))))


def stands_alone(word: str) -> bool:
    """True for a character of a script that puts no spaces between words."""
    return _ALONE.match(word) is not None
