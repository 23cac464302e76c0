"""Words that give way to synonyms."""

import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from attnkit.data.augment.words import Words, count_of, places
from attnkit.errors import UsageError

Synonyms = Mapping[str, Sequence[str]]


def replace(text: Words, share: float, synonyms: Synonyms, draw: random.Random) -> Words:
    """`share` of the words are replaced by a synonym, fewer where not so many have one; capitals are kept.

    Source: Zhang et al. (2015), section 2.4; Wei and Zou (2019), EDA, section 2, synonym replacement.
    """
    words = list(text.words)
    known = [place for place, word in enumerate(words) if word.lower() in synonyms]
    for place in places(known, count_of(share, len(words)), draw):
        words[place] = _cased(draw.choice(synonyms[words[place].lower()]), words[place])
    return Words(tuple(words), text.gaps)


def read_synonyms(path: str) -> dict[str, tuple[str, ...]]:
    """Each word of the file in small letters, and what may stand for it.

    A line holds words that may stand for one another: with commas between them where there is a comma (they may then
    be several words, which are put in and not looked for), else with white space.

    Raises: UsageError where the file is missing or not UTF-8, or a line holds one word alone.
    """
    try:
        lines = Path(path).read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UsageError(f"there is no file {path} of synonyms; check the name") from None
    except OSError as error:
        raise UsageError(f"the synonyms in {path} cannot be read ({error.strerror}); name a file that can") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"the synonyms in {path} are not UTF-8 text ({error}); save them as UTF-8") from None
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        group = list(dict.fromkeys(word.strip().lower() for word in (line.split(",") if "," in line else line.split())))
        group = [word for word in group if word]
        if len(group) == 1:
            raise UsageError(f"{path}:{number} holds {group[0]!r} alone; write words that may stand for one another")
        for word in group:
            held = found.setdefault(word, [])
            held += [other for other in group if other != word and other not in held]
    if not found:
        raise UsageError(f"{path} holds no synonyms; write on each line words that may stand for one another")
    return {word: tuple(others) for word, others in found.items()}


def _cased(word: str, like: str) -> str:
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word
