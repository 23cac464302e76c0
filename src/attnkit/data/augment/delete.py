"""Words that are left out."""

import random

from attnkit.data.augment.words import Words, count_of, places


def delete(text: Words, share: float, draw: random.Random) -> Words:
    """`share` of the words are left out, never all of them; punctuation stays.

    Source: Wei and Zou (2019), EDA, section 2, random deletion; Iyyer et al. (2015), section 4.
    """
    n = len(text.words)
    count = min(count_of(share, n), max(0, n - 1))
    words, gaps = list(text.words), list(text.gaps)
    for place in reversed(places(list(range(n)), count, draw)):
        del words[place]
        gaps[place : place + 2] = [_joined(gaps[place], gaps[place + 1])]
    return Words(tuple(words), tuple(gaps))


def _joined(before: str, after: str) -> str:
    # One space remains of two.
    return before + after.lstrip() if before.strip() or not before else before.rstrip() + after
