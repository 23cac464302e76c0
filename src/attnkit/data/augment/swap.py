"""Words that change places."""

import random

from attnkit.data.augment.words import Words, count_of


def swap(text: Words, share: float, draw: random.Random) -> Words:
    """`share` of the words change places with a neighbor, each at most once; gaps stay.

    Source: Wei and Zou (2019), EDA, section 2, random swap (there of any two words).
    """
    words, moved = list(text.words), set[int]()
    starts = list(range(len(words) - 1))
    draw.shuffle(starts)
    for start in starts:
        if len(moved) >= count_of(share, len(words)):
            break
        if moved.isdisjoint((start, start + 1)):
            words[start], words[start + 1] = words[start + 1], words[start]
            moved |= {start, start + 1}
    return Words(tuple(words), text.gaps)
