"""Texts as the items of a queue, whatever computes them."""

from collections.abc import Sequence
from typing import Any

from attnkit.data.batches import padded_width
from attnkit.data.encoding import Limits, Text, cut_tokens, encoded_checked
from attnkit.data.tokens.tokenizer import TextTokenizer
from attnkit.serve.answerer import Encoded

# The id of a piece that is not in the vocabulary, which every tokenizer has.
_ANY_ID = 1


def items_of(tokenizer: TextTokenizer, limits: Limits, texts: Sequence[Text], paired: bool) -> list[Encoded]:
    """Each text as ids cut to the limits, with how many tokens were cut.

    Raises: UsageError where a text is a pair and should not be, or the other way round.
    """
    found = []
    for text, ids in zip(texts, encoded_checked(tokenizer, limits, texts, paired), strict=True):
        sentences = [len(sentence) for sentence in ids if isinstance(sentence, list)]
        read = sum(sentences) if limits.hierarchical else len(ids)
        # To count the tokens beyond a limit the text is cut again, so only where one is reached.
        cut = cut_tokens(tokenizer, text, read) if _at_limit(limits, ids, sentences) else 0
        found.append(Encoded(ids, len(sentences) * max(sentences, default=0) if limits.hierarchical else read, cut))
    return found


def _at_limit(limits: Limits, ids: Any, sentences: Sequence[int]) -> bool:
    if not limits.hierarchical:
        return len(ids) >= limits.max_tokens
    return len(ids) >= limits.max_sentences or max(sentences, default=0) >= limits.max_sentence_tokens


def filled_up(items: Sequence[Encoded]) -> list[Any]:
    """The ids of the items, and empty ones behind them, so that computations come in few counts of rows."""
    return [item.ids for item in items] + [[]] * (padded_width(len(items), digits=2) - len(items))


def widest(limits: Limits) -> Encoded:
    """An item at the limits."""
    if not limits.hierarchical:
        return Encoded([_ANY_ID] * limits.max_tokens, limits.max_tokens, 0)
    sentence = [_ANY_ID] * limits.max_sentence_tokens
    return Encoded([sentence] * limits.max_sentences, limits.max_sentences * limits.max_sentence_tokens, 0)
