"""Typing errors."""

import random

from attnkit.data.augment.words import Words, count_of, places

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbors() -> dict[str, str]:
    # A row of keys stands half a key right of the one above it.
    at = {letter: (place + row / 2, row) for row, letters in enumerate(_ROWS) for place, letter in enumerate(letters)}
    return {
        letter: "".join(
            o for o, (x, y) in at.items() if o != letter and abs(x - at[letter][0]) <= 1 >= abs(y - at[letter][1])
        )
        for letter in at
    }


KEYS = _neighbors()


def typos(text: Words, share: float, draw: random.Random) -> Words:
    """`share` of the words get one typing error: a letter struck beside its key, left out, doubled, or two exchanged.

    Words of one letter are spared; only letters of the Latin keyboard are struck beside their key. A word is never left
    as it is.

    Source: Belinkov and Bisk (2018), section 3.2, synthetic noise (swap, keyboard typo).
    """
    words = list(text.words)
    for place in places([n for n, word in enumerate(words) if len(word) > 1], count_of(share, len(words)), draw):
        words[place] = mistyped(words[place], draw)
    return Words(tuple(words), text.gaps)


def mistyped(word: str, draw: random.Random) -> str:
    """The word, of two letters or more, with one typing error in it."""
    place = draw.randrange(len(word))
    letter = word[place]
    ways = [word[:place] + word[place + 1 :], word[:place] + 2 * letter + word[place + 1 :]]
    if letter.lower() in KEYS:
        struck = draw.choice(KEYS[letter.lower()])
        ways.append(word[:place] + (struck.upper() if letter.isupper() else struck) + word[place + 1 :])
    if place + 1 < len(word) and word[place + 1] != letter:
        ways.append(word[:place] + word[place + 1] + letter + word[place + 2 :])
    return draw.choice(ways)
