"""Where a teacher looks, in units that the student has too."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from attnkit.data.examples import Example
from attnkit.data.tokens import TextTokenizer
from attnkit.errors import UsageError
from attnkit.train.lessons import Looks
from attnkit.train.preprocessing import Ids, Preprocessing

_RUN = re.compile(r"\S+")


def looks(
    examples: Sequence[Example],
    theirs: Preprocessing,
    their_items: Sequence[Ids],
    ours: Preprocessing,
    our_items: Sequence[Ids],
    maps: Sequence[Tensor],
    name: str,
) -> list[Looks]:
    """The teacher's look at each row: over tokens where both cut a text alike, else over its words.

    A word is a run of characters without white space; a token belongs to the word of its last character. Words that
    one of the two does not read to the end of its limit keep no weight.

    Raises: UsageError where texts are pairs that the two cut differently, or one of them reads tables of sentences.
    """
    if theirs.hierarchical or ours.hierarchical:
        who = f"the teacher {name}" if theirs.hierarchical else "this run"
        raise UsageError(
            f"{who} reads documents as sentences, which have no one row of attention; set distill.attention_weight = 0"
        )
    alike = theirs.tokenizer.to_json() == ours.tokenizer.to_json()
    found = []
    for example, their_ids, our_ids, map_T in zip(examples, their_items, our_items, maps, strict=True):
        if alike and their_ids == our_ids:
            found.append(Looks(map_T, torch.arange(len(our_ids))))
        elif example.pair is not None:
            raise UsageError(
                f"the teacher {name} cuts pairs of texts into other tokens than this run; give both one tokenizer, or "
                "set distill.attention_weight = 0"
            )
        else:
            found.append(_over_words(example.text, theirs, len(their_ids), ours, len(our_ids), map_T))
    return found


def _over_words(text: str, theirs: Preprocessing, read: int, ours: Preprocessing, own: int, map_T: Tensor) -> Looks:
    words = [match.span() for match in _RUN.finditer(text)]
    their_owner = _owners(_places(theirs.tokenizer, text, read), words)
    our_owner = _owners(_places(ours.tokenizer, text, own), words)
    weights = torch.zeros(len(words) + 1).index_add(0, their_owner, map_T.float())[: len(words)]
    read_by_us = torch.zeros(len(words) + 1, dtype=torch.bool)
    read_by_us[our_owner] = True
    return Looks(weights * read_by_us[: len(words)], our_owner)


def _places(tokenizer: TextTokenizer, text: str, read: int) -> list[tuple[int, int]]:
    """Where the `read` tokens of a text stand that its limit leaves, those that stand around it included."""
    whole, behind = tokenizer.offsets(text), len(tokenizer.frame.behind)
    return whole if len(whole) == read else whole[: read - behind] + whole[len(whole) - behind :]


def _owners(places: Sequence[tuple[int, int]], words: Sequence[tuple[int, int]]) -> Tensor:
    """The word (0 to n - 1) of each token, n where it stands in none."""
    owner, word = [], 0
    for start, end in places:
        # Byte tokens may begin with the space before their word.
        last = end - 1
        while word < len(words) and words[word][1] <= last:
            word += 1
        inside = start < end and word < len(words) and words[word][0] <= last
        owner.append(word if inside else len(words))
    return torch.tensor(owner, dtype=torch.int64)
