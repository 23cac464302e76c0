"""Texts on which an export and its run are compared: the ones that break exports, and ordinary ones."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from attnkit.data.encoding import Limits, Text, encoded_checked
from attnkit.data.tokens.tokenizer import SEPARATOR, TextTokenizer

_SEED = 0
_MANY, _ALONE, _OF_DATA = 24, 6, 32
_SENTENCE_WORDS = 7
SCRIPTS = (
    "Ünïcödé naïve façade",
    "中文字符,没有空格。",
    "русский текст и ещё",
    "🙂🙃 ok",
    "[ padding ] [ unknown ]",
    "\u200b\x00",
)


@dataclass(frozen=True)
class Case:
    """Texts that are answered together, `batch_rows` at a time, and why."""

    name: str
    texts: tuple[Text, ...]
    batch_rows: int = 64


def cases(tokenizer: TextTokenizer, limits: Limits, paired: bool, of_data: Sequence[Text] = ()) -> list[Case]:
    """What every export is compared on, whatever it was exported to; `of_data` are texts of its own data, if any."""
    make = _Maker(tokenizer, limits, paired)
    most = make.most
    found = [
        Case("an empty text", (make.text(0),)),
        Case("one token", (make.text(1),)),
        Case("padding alone, among others", (make.text(0), make.text(9), make.text(2))),
        Case("the longest that is read", (make.text(most),)),
        Case("longer than is read", (make.text(2 * most), make.text(3))),
        Case("other scripts and spelled special tokens", tuple(make.told(text) for text in SCRIPTS)),
        Case("one text at a time", tuple(make.text(1 + 5 * number) for number in range(_ALONE)), 1),
        Case("many of different lengths at once", tuple(make.text(number % 31) for number in range(_MANY)), _MANY),
    ]
    if of_data:
        found.append(Case("texts of its data", tuple(of_data[:_OF_DATA])))
    return found


class _Maker:
    """Draws texts of about as many tokens as asked for, always the same ones."""

    def __init__(self, tokenizer: TextTokenizer, limits: Limits, paired: bool) -> None:
        self.tokenizer, self.limits, self.paired = tokenizer, limits, paired
        self.draw = random.Random(_SEED)

    @property
    def most(self) -> int:
        """About as many tokens as are read of one text."""
        if self.limits.hierarchical:
            return self.limits.max_sentences * self.limits.max_sentence_tokens
        return self.limits.max_tokens

    def text(self, tokens: int) -> Text:
        first = self._words(tokens - tokens // 2 if self.paired else tokens)
        return (first, self._words(tokens // 2)) if self.paired else first

    def told(self, text: str) -> Text:
        return (text, text[::-1]) if self.paired else text

    def _words(self, tokens: int) -> str:
        last = self.tokenizer.size - 1
        ids = [self.draw.randint(min(SEPARATOR + 1, last), last) for _ in range(tokens)]
        words = self.tokenizer.tokens(ids)
        if self.limits.hierarchical:
            words = [f"{word}." if place % _SENTENCE_WORDS == 6 else word for place, word in enumerate(words)]
        return " ".join(words)


def read_tokens(tokenizer: TextTokenizer, limits: Limits, paired: bool, case: Case) -> int:
    """The tokens of the longest text of a case, as they are read."""
    items = encoded_checked(tokenizer, limits, list(case.texts), paired)
    return max(sum(len(row) for row in item) if limits.hierarchical else len(item) for item in items)  # type: ignore[arg-type, misc]
