"""What weights from elsewhere settle: the network they fit, and how networks that begin with them are best trained."""

from typing import Any

from attnkit.data.tokens import TextTokenizer
from attnkit.errors import UsageError
from attnkit.model.settings import Section
from attnkit.train.choices import Choices
from attnkit.train.start.start import Start

# What of [model] says how weights are built and read; the rest is noise while training.
ENCODER = (
    "encoder", "hierarchical", "embedding_width", "width", "layers", "heads", "inner_width", "positions", "sides",
    "norm_epsilon", "kernel_widths_tokens", "attention",
)  # fmt: skip
READING = ("pooling", "pooling_queries", "beside", "words_beside", "ngrams", "ngram_buckets")


def prefer(choices: Choices, name: str, value: Any, reason: str) -> None:
    """Give the field `name` its value where nobody has given it one, "auto" or not."""
    section, entry = name.split(".")
    holder: Section = getattr(choices.recipe, section)
    if entry in holder.model_fields_set and getattr(holder, entry) != "auto":
        return
    changed = holder.model_copy(update={entry: value})
    choices.recipe = choices.recipe.model_copy(update={section: changed})
    choices.reasons[name] = reason


def choose_start(choices: Choices, start: Start, rows: int) -> None:
    """Settle what the weights of `start` need; what a recipe says itself goes before them.

    Raises: UsageError where the recipe asks for another tokenizer, or for more tokens than the weights can read.
    """
    reason = f"as {start.said} was built"
    bare = start.task is None or start.task.kind == "language"
    for name in ENCODER if bare else (*ENCODER, *READING):
        value = getattr(start.settings, name)
        if value != "auto" and name in start.settings.model_fields_set:
            prefer(choices, f"model.{name}", value, reason)
    _choose_tokens(choices, start)
    if start.checkpoint and bare:
        _choose_reading(choices)
    if start.checkpoint:
        _choose_tuning(choices, rows)


def _choose_tokens(choices: Choices, start: Start) -> None:
    tokens = choices.recipe.tokens
    taken = {"tokenizer": "given", "vocabulary_size": start.tokenizer.size, "lowercase": lowercases(start.tokenizer)}
    for name, value in taken.items():
        asked = getattr(tokens, name)
        if asked not in ("auto", value):
            raise UsageError(
                f"tokens.{name} = {asked!r} cannot go with {start.said}, whose tokenizer is taken over with its "
                f"weights ({name} = {value!r}); leave it out"
            )
        choices.settle(f"tokens.{name}", value, f"that of {start.said}")
    choices.settle("tokens.min_count", 1, "no word is counted: the vocabulary is given")
    most, longest = tokens.max_tokens, start.longest_tokens
    if longest is not None and most != "auto" and most > longest:
        raise UsageError(f"tokens.max_tokens = {most} is more than the {longest} positions of {start.said}; lower it")


def _choose_reading(choices: Choices) -> None:
    reason = "it begins as the plain mean of all positions, and learns which of them count"
    prefer(choices, "model.pooling", "vaswani", reason)
    choices.settle("model.beside", (), "the pooling begins as the mean by itself")
    choices.settle("model.words_beside", False, "its encoder has read the words already")
    choices.settle("model.ngrams", 0, "its encoder has read what stands side by side")


def _choose_tuning(choices: Choices, rows: int) -> None:
    """How an encoder that has learned already goes on: slowly, and the slower the deeper it lies."""
    gentle = "the weights have learned already"
    choices.settle("model.dropout", 0.1, "what such encoders were trained with")
    choices.settle("model.embedding_dropout", 0.0, "the encoder has dropout of its own behind the embeddings")
    choices.settle("model.word_dropout", 0.0, "few words are unknown to it")
    choices.settle("train.learning_rate", 1e-4, gentle)
    if not choices.recipe.train.minutes:
        choices.settle("train.epochs", 3, gentle)
    choices.settle("train.batch_rows", 32, "the usual size of such steps")


def lowercases(tokenizer: TextTokenizer) -> bool:
    """True where capitals are read as small letters."""
    return tokenizer.encode_all(["Word ÄÉ"]) == tokenizer.encode_all(["word äé"])
