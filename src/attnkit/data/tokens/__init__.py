"""Tokenizers over the `tokenizers` library, fitted on training texts alone."""

import difflib
import re
from collections.abc import Sequence

from attnkit.data.tokens.bpe import fit_bpe
from attnkit.data.tokens.chars import fit_chars
from attnkit.data.tokens.checkpoint import CheckpointTokenizer, checkpoint_tokenizer
from attnkit.data.tokens.pruned import pruned
from attnkit.data.tokens.tokenizer import BEGIN, MASK, PADDING, SEPARATOR, UNKNOWN, Frame, TextTokenizer
from attnkit.data.tokens.word import fit_words
from attnkit.errors import UsageError

__all__ = [
    "BEGIN",
    "KINDS",
    "MASK",
    "PADDING",
    "SEPARATOR",
    "UNKNOWN",
    "CheckpointTokenizer",
    "Frame",
    "TextTokenizer",
    "checkpoint_tokenizer",
    "fit",
    "from_json",
    "kind_for",
    "pruned",
]

_FITS = {"word": fit_words, "bpe": fit_bpe, "chars": fit_chars}
KINDS = ("auto", *_FITS)
# Scripts that put no spaces between words: Chinese, Japanese kana, Thai, Lao, Khmer, Burmese.
_UNSPACED = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff\u0e00-\u0eff\u1780-\u17ff\u1000-\u109f]"
)
_LETTERS = re.compile(r"[^\W\d_]")
_SAMPLE_TEXTS = 2000
_SAMPLE_CHARACTERS = 500


def fit(
    kind: str,
    texts: Sequence[str],
    vocabulary_size: int = 30_000,
    lowercase: bool = True,
    min_count: int = 2,
) -> TextTokenizer:
    """A tokenizer of a kind ("auto", "word", "bpe", "chars") fitted on these texts: training texts only.

    `vocabulary_size` counts the three special ids too; pieces rarer than `min_count` become unknown.
    Raises: UsageError for an unknown kind (with the nearest), no texts, or a vocabulary that is too small.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(KINDS)}."
        raise UsageError(f"There is no tokenizer kind {kind!r}; {hint}")
    if not any(text.strip() for text in texts):
        raise UsageError("There is no text to fit a tokenizer on; give training rows whose text is not empty.")
    if vocabulary_size < 4 or min_count < 1:
        raise UsageError(
            f"A tokenizer needs vocabulary_size >= 4 and min_count >= 1, not {vocabulary_size} and {min_count}."
        )
    chosen = kind_for(texts) if kind == "auto" else kind
    return _FITS[chosen](texts, vocabulary_size, lowercase, min_count)


def kind_for(texts: Sequence[str]) -> str:
    """What "auto" means for these texts: "chars" where most letters are of scripts without spaces, else "word"."""
    step = max(1, len(texts) // _SAMPLE_TEXTS)
    sample = "".join(text[:_SAMPLE_CHARACTERS] for text in texts[::step])
    return "chars" if 2 * len(_UNSPACED.findall(sample)) > len(_LETTERS.findall(sample)) else "word"


def from_json(text: str) -> TextTokenizer:
    """The tokenizer that `TextTokenizer.to_json` wrote.

    Raises: UsageError where the text is anything else.
    """
    return TextTokenizer.from_json(text)
