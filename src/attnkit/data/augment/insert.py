"""Words that are said once more."""

import random

from attnkit.data.augment.words import Words, count_of, places, stands_alone


def insert(text: Words, share: float, draw: random.Random) -> Words:
    """After `share` of the words, a word of the same text, drawn at random, is put in.

    Source: Wei and Zou (2019), EDA, section 2, random insertion (there of a synonym of a word of the text).
    """
    words, gaps = list(text.words), list(text.gaps)
    for place in reversed(places(list(range(len(words))), count_of(share, len(words)), draw)):
        word = draw.choice(text.words)
        words.insert(place + 1, word)
        gaps.insert(place + 1, "" if stands_alone(word) else " ")
    return Words(tuple(words), tuple(gaps))
