"""A tokenizer that knows fewer words."""

import json
from collections.abc import Sequence

from tokenizers import Tokenizer

from attnkit.data.tokens.tokenizer import SEPARATOR, TextTokenizer


def pruned(tokenizer: TextTokenizer, kept: Sequence[int]) -> TextTokenizer:
    """The same tokenizer with the rows `kept` of its vocabulary, numbered in their order; other words are unknown.

    Raises: ValueError where its tokens are pieces that are made of one another, or a row is not there.
    """
    plain = json.loads(tokenizer.to_json())
    inner = plain["tokenizer"]
    if inner["model"]["type"] != "WordLevel":
        raise ValueError(
            f"the tokens of a {tokenizer.kind} tokenizer are pieces that are made of one another, so that without one "
            "of them other words would be cut otherwise; its vocabulary stays whole"
        )
    if list(kept[: SEPARATOR + 1]) != list(range(SEPARATOR + 1)) or max(kept) >= tokenizer.size:
        raise ValueError(f"rows 0 to {SEPARATOR} stay, and none is beyond the {tokenizer.size} there are")
    place = {row: number for number, row in enumerate(kept)}
    words = {word: place[row] for word, row in inner["model"]["vocab"].items() if row in place}
    inner["model"]["vocab"] = words
    return TextTokenizer(tokenizer.kind, Tokenizer.from_str(json.dumps(inner)), tokenizer.frame)
