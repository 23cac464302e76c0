"""Looker: a model that can be looked at, with what turns texts into its inputs and says what it answered."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from attnkit.errors import UsageError
from attnkit.run.listing import is_run
from attnkit.task.base import Prediction
from attnkit.train.predictor import Predictor, Text, load


@dataclass(frozen=True, eq=False)
class Inputs:
    """Texts as a model takes them.

    `run` feeds them to the model and gives a sentence an item: what it answered. `streams` are the tokens of each item
    by the name of the text they stand in, `sides` names the streams of a layer's queries and keys where the layer's
    name begins as said; `cut` counts the tokens of each item beyond the limit.
    """

    run: Callable[[], list[str]]
    streams: dict[str, list[list[str]]]
    sides: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    cut: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Looker:
    """`model` in evaluation mode, and `encode`, which turns texts into its inputs.

    `predictor` is there where it is a run, `tokenizer` where it is a model of transformers.
    """

    title: str
    model: nn.Module
    encode: Callable[[Sequence[Text]], Inputs]
    predictor: Predictor | None = None
    tokenizer: Any = None


def open_looker(source: str | os.PathLike[str], *, generate: int = 0, allow_code: bool = False) -> Looker:
    """The model of a run directory, or of a folder in Hugging Face's layout; nothing in it is executed.

    `generate` is the number of tokens that a decoder goes on for.

    Raises: UsageError where there is neither, or it cannot be read.
    """
    path = Path(source)
    if is_run(path):
        if generate:
            raise UsageError(f"{path} is a run of attn, whose models write no text; leave --generate out")
        return run_looker(path.name, load(path, allow_code=allow_code))
    if path.suffix == ".gguf" or (path / "config.json").is_file():
        from attnkit.see.folder import folder_looker

        return folder_looker(path, generate)
    if not path.exists():
        raise UsageError(f"there is nothing at {path}; give a run directory, or a folder with a model of transformers")
    raise UsageError(f"{path} is neither a run nor a model of transformers (no config.json); `attn info {path}` tells")


def run_looker(title: str, predictor: Predictor) -> Looker:
    """A trained run, looked at on the way to its prediction."""

    def encode(texts: Sequence[Text]) -> Inputs:
        if predictor.preprocessing.hierarchical:
            return _documents(predictor, texts)
        items = predictor.encode(texts)
        ids, keep = predictor.preprocessing.collate(items)

        def run() -> list[str]:
            return [said(one) for one in predictor.task.predict(predictor.network(ids, keep))]

        tokens = [predictor.preprocessing.tokenizer.tokens(item) for item in items]  # type: ignore[arg-type]
        cut = tuple(predictor.cut(text, len(item)) for text, item in zip(texts, items, strict=True))
        return Inputs(run, {"text": tokens}, {"summary.": (None, "text")}, cut)

    return Looker(title, predictor.network, encode, predictor)


def _documents(predictor: Predictor, texts: Sequence[Text]) -> Inputs:
    """One text of a hierarchical model: its sentences are the items of the lower pooling."""
    if len(texts) != 1:
        raise UsageError(f"a hierarchical model is looked at one text at a time; got {len(texts)} texts")
    (item,) = predictor.encode(texts)
    ids, keep = predictor.preprocessing.collate([item])
    tokenizer = predictor.preprocessing.tokenizer
    words = [tokenizer.tokens(sentence) for sentence in item]  # type: ignore[arg-type]
    sentences = [" ".join(sentence[:6]) + (" …" if len(sentence) > 6 else "") for sentence in words]

    def run() -> list[str]:
        return [said(one) for one in predictor.task.predict(predictor.network(ids, keep))]

    sides: dict[str, tuple[str | None, str]] = {
        "sentence_summary.": (None, "sentences"),
        "sentences.": ("sentences", "sentences"),
        "word_summary.": (None, "words"),
        "words.": ("words", "words"),
    }
    cut = predictor.cut(texts[0], sum(len(sentence) for sentence in words))
    return Inputs(run, {"words": words, "sentences": [sentences]}, sides, (cut,))


def said(prediction: Prediction) -> str:
    """A prediction in words."""
    label: Any = prediction.label
    words = ", ".join(label) or "(none)" if isinstance(label, tuple) else label
    if isinstance(label, float):
        return f"{label:.4g}"
    return f"{words}" if prediction.probability is None else f"{words} ({100 * prediction.probability:.1f} %)"
