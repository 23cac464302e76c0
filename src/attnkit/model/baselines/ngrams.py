"""Words and word pairs as sparse features, for languages written with spaces and without."""

import itertools
import re
from collections.abc import Sequence

# Written without spaces: kana, Chinese characters (extensions included). One character is one token.
UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
TOKEN = re.compile(rf"[{UNSPACED}]|[^\W_{UNSPACED}]+(?:['’][^\W_{UNSPACED}]+)*|[^\w\s]|_")

# Stands between the two texts of a pair; no keyboard types it, and it is a token of its own.
SEPARATOR = "\N{SYMBOL FOR UNIT SEPARATOR}"


def ngrams(text: str) -> list[str]:
    """Give the lowercased tokens of a text and its pairs of neighbors, joined by a space.

    A token is a word (with inner apostrophes), a punctuation mark, or a single Chinese or Japanese character; so
    Chinese gives characters and character pairs, with no decision to take for a whole set of texts.
    """
    tokens = TOKEN.findall(text.lower())
    return tokens + [f"{left} {right}" for left, right in itertools.pairwise(tokens)]


def joined(texts: Sequence[tuple[str, str | None]]) -> list[str]:
    """Join the two texts of each pair around a separator; a single text stays as it is."""
    return [text if pair is None else f"{text} {SEPARATOR} {pair}" for text, pair in texts]
