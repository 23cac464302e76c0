"""Tokens as letters to look at: no control reaches a terminal, no letter is drawn that the font does not have."""

import unicodedata
from collections.abc import Iterable
from functools import cache
from typing import Any

_SHOWN = {"\n": "⏎", "\t": "⇥", "\r": "␍"}
# Controls, invisible formats (they turn the direction of writing), halves of pairs, private and unassigned; line ends.
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def plain_letters(text: str) -> str:
    """`text` with everything that a terminal might obey written out: a line end as ⏎, an escape as \\x1b."""
    return "".join(_SHOWN.get(letter) or _written(letter) for letter in text)


def _written(letter: str) -> str:
    if unicodedata.category(letter) not in _UNSAFE:
        return letter
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def columns(text: str) -> int:
    """How many columns of a terminal the text takes: two for wide letters (Chinese, emoji), none for accents."""
    return sum(_columns(letter) for letter in text)


@cache
def _columns(letter: str) -> int:
    if unicodedata.combining(letter) or unicodedata.category(letter) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def cut(text: str, most: int) -> str:
    """At most so many columns of the text, with … where more was there."""
    if columns(text) <= most:
        return text
    held, used = "", 1
    for letter in text:
        used += _columns(letter)
        if used > most:
            break
        held += letter
    return held + "…"


def padded(text: str, width: int) -> str:
    """The text cut or filled up to just so many columns."""
    short = cut(text, width)
    return short + " " * (width - columns(short))


def short_name(name: str, most: int) -> str:
    """A layer's name in at most so many columns: what stands in front shrinks to first letters, numbers stay."""
    steps = plain_letters(name).split(".")
    for index, step in enumerate(steps[:-1]):
        if columns(".".join(steps)) <= most:
            break
        steps[index] = step if step.isdigit() else step[:1]
    short = ".".join(steps)
    while columns(short) > most:
        short = "…" + short[2:]
    return short


def drawable(texts: Iterable[str]) -> bool:
    """True where matplotlib's own font has every letter of them."""
    letters = _font_letters()
    return all(ord(letter) in letters for text in texts for letter in text)


@cache
def _font_letters() -> Any:
    from matplotlib import font_manager, ft2font

    return ft2font.FT2Font(font_manager.findfont("DejaVu Sans")).get_charmap().keys()


def spaced(tokens: Iterable[str]) -> list[tuple[bool, str]]:
    """Each token as (a space stands before it, its letters): marks of sub-words (Ġ, ▁, ##) are read, not shown.

    Texts whose tokens carry no marks have a space between every two words, and none between wide letters.
    """
    held = list(tokens)
    marks = next((mark for mark in ("Ġ", "▁") if any(token.startswith(mark) for token in held)), None)
    found: list[tuple[bool, str]] = []
    for index, token in enumerate(held):
        if marks is not None:
            marked = token.startswith(marks)
            found.append((marked, token[len(marks) :].replace("Ċ", "\n") if marked else token.replace("Ċ", "\n")))
        elif token.startswith("##") and len(token) > 2:
            found.append((False, token[2:]))
        else:
            before = held[index - 1] if index else ""
            wide = bool(before) and bool(token) and columns(before[-1]) == columns(token[0]) == 2
            found.append((index > 0 and not wide and not token[:1].isspace() and not before[-1:].isspace(), token))
    return found
