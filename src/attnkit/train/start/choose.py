"""What weights from elsewhere settle: the network they fit, and how networks that begin with them are best trained."""

from typing import Any

import torch

from attnkit.data.tokens import TextTokenizer
from attnkit.errors import UsageError
from attnkit.model.settings import Section
from attnkit.train.choices import Choices
from attnkit.train.presets import PRESETS
from attnkit.train.start.start import Start

# What of [model] says how weights are built and read; the rest is noise while training.
ENCODER = (
    "encoder", "hierarchical", "embedding_width", "width", "layers", "heads", "inner_width", "positions", "sides",
    "norm_epsilon", "kernel_widths_tokens", "attention",
)  # fmt: skip
# From here on few passes are enough, at half the rate.
MANY_ROWS = 20_000
# The width that the rates were chosen at; wider encoders take lower ones.
SMALL_WIDTH = 384
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
    """How an encoder that has learned already goes on: slowly, and the slower the deeper it lies.

    Source: rates that fall from layer to layer, Howard and Ruder 2018, section 3.2; the values: docs/log.md.
    """
    many = rows >= MANY_ROWS
    width = choices.recipe.model.width
    rate = (1e-4 if many else 2e-4) * min(1.0, SMALL_WIDTH / (SMALL_WIDTH if width == "auto" else width))
    gentle = f"the weights have learned already; {rows} training texts"
    choices.settle("model.dropout", 0.1, "what such encoders were trained with")
    choices.settle("model.embedding_dropout", 0.0, "the encoder has dropout of its own behind the embeddings")
    choices.settle("model.word_dropout", 0.0, "few words are unknown to it")
    choices.settle("train.learning_rate", rate, gentle)
    prefer(choices, "optimizer.layer_decay", 0.85, "lower layers know what most texts need")
    prefer(choices, "start.freeze", ("embedding",), "these texts hold few of its words, and would move those alone")
    if not choices.recipe.train.minutes:
        preset = choices.recipe.train.preset
        choices.settle("train.epochs", PRESETS[preset].tuning_epochs[many], f"{gentle}, the preset {preset}")
    if fast_bfloat16():
        prefer(choices, "train.precision", "bfloat16", "this processor multiplies it in hardware")


def fast_bfloat16() -> bool:
    """True where this processor has instructions for products in bfloat16, so that they cost less than in float32."""
    known = (getattr(torch.cpu, name, None) for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"))
    return any(bool(ask()) for ask in known if ask is not None)


def lowercases(tokenizer: TextTokenizer) -> bool:
    """True where capitals are read as small letters."""
    return tokenizer.encode_all(["Word ÄÉ"]) == tokenizer.encode_all(["word äé"])
