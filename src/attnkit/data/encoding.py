"""Texts to token ids, cut to a model's limits: the same in training, in a run and in a bundle, and without torch."""

from collections.abc import Sequence
from dataclasses import dataclass

from attnkit.data.sentences import cut_sentences, split_sentences
from attnkit.data.tokens.tokenizer import TextTokenizer
from attnkit.errors import UsageError

Text = str | tuple[str, str]
Ids = list[int] | list[list[int]]


@dataclass(frozen=True)
class Limits:
    """How much of a text is read: tokens, or, of a hierarchical model, sentences of tokens."""

    max_tokens: int
    hierarchical: bool = False
    max_sentences: int = 0
    max_sentence_tokens: int = 0


def encoded(
    tokenizer: TextTokenizer, limits: Limits, texts: Sequence[str], pairs: Sequence[str | None] | None = None
) -> list[Ids]:
    """Token ids of each text (with its pair behind a separator), cut to the limits; a list of sentences each where
    hierarchical.
    """
    if limits.hierarchical:
        return _documents(tokenizer, limits, texts)
    if pairs is not None and any(pair is not None for pair in pairs):
        return list(tokenizer.encode_pair(list(texts), [pair or "" for pair in pairs], limits.max_tokens))
    return list(tokenizer.encode_all(list(texts), limits.max_tokens))


def encoded_checked(tokenizer: TextTokenizer, limits: Limits, texts: Sequence[Text], paired: bool) -> list[Ids]:
    """Token ids of texts that a user gave, or of pairs where the model reads pairs.

    Raises: UsageError where `texts` is one bare string, or a text is not what the model was trained on.
    """
    if isinstance(texts, str):
        raise UsageError("predict takes a list of texts and got one bare string; put it in a list")
    for number, text in enumerate(texts):
        if paired and not (isinstance(text, (tuple, list)) and len(text) == 2):
            raise UsageError(f"text {number + 1} must be a pair of texts, as in training; got {type(text).__name__}")
        if not paired and not isinstance(text, str):
            raise UsageError(f"text {number + 1} must be a string; got {type(text).__name__}")
    if paired:
        return encoded(tokenizer, limits, [str(text[0]) for text in texts], [str(text[1]) for text in texts])
    return encoded(tokenizer, limits, [str(text) for text in texts])


def cut_tokens(tokenizer: TextTokenizer, text: Text, read: int) -> int:
    """How many tokens of a text lie beyond the limit, where `read` were read."""
    whole = tokenizer.encode_all([text]) if isinstance(text, str) else tokenizer.encode_pair([text[0]], [text[1]])
    return max(0, len(whole[0]) - read)


def _documents(tokenizer: TextTokenizer, limits: Limits, texts: Sequence[str]) -> list[Ids]:
    split = [split_sentences(text) for text in texts]
    flat = tokenizer.encode_all([sentence for document in split for sentence in document], limits.max_tokens)
    documents: list[Ids] = []
    start = 0
    for document in split:
        sentences = [ids for ids in flat[start : start + len(document)] if ids]
        documents.append(cut_sentences(sentences, limits.max_sentence_tokens, limits.max_sentences))
        start += len(document)
    return documents
