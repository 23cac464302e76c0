"""Documents to sentences, at data time, for hierarchical models."""

import re

# A stop ends a sentence where white space or a closing quote follows; Chinese stops end one wherever they stand.
_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[。！？；])|\s*\n+\s*|\s*<br\s*/?>\s*")


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, in order, none of them empty."""
    return [piece for piece in (part.strip() for part in _END.split(text)) if piece]


def cut_sentences(sentences: list[list[int]], longest: int, most: int) -> list[list[int]]:
    """Token lists of at most `longest` tokens, a longer one going on as the next, the first `most` of them."""
    pieces = [ids[start : start + longest] for ids in sentences for start in range(0, len(ids), longest)]
    return pieces[:most]
