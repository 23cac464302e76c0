"""Byte-level pair encoding: frequent byte strings are tokens, and no text is ever unknown."""

from collections.abc import Sequence

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from attnkit.data.tokens.markup import cleaning
from attnkit.data.tokens.tokenizer import SPECIAL, TextTokenizer, without_added_tokens
from attnkit.errors import UsageError

LEAST_SIZE = 256 + len(SPECIAL)


def fit_bpe(texts: Sequence[str], vocabulary_size: int, lowercase: bool, min_count: int) -> TextTokenizer:
    """Merges of bytes that stand at least `min_count` times together, up to `vocabulary_size` tokens.

    Raises: UsageError where `vocabulary_size` is below 259 (every byte and the special ids).
    Source: Sennrich, Haddow and Birch 2016, algorithm 1; on bytes: Radford et al. 2019, section 2.2.
    """
    if vocabulary_size < LEAST_SIZE:
        raise UsageError(
            f"A byte-level vocabulary needs at least {LEAST_SIZE} tokens and was given {vocabulary_size}; raise it."
        )
    inner = Tokenizer(models.BPE())
    inner.normalizer = cleaning(lowercase)
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        min_frequency=min_count,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    inner.train_from_iterator(texts, trainer)
    return TextTokenizer("bpe", without_added_tokens(inner))
