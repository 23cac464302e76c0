"""A trained run as something to look at."""

from collections.abc import Sequence
from typing import Any

from attnkit.errors import UsageError
from attnkit.see.looker import Inputs, Looker
from attnkit.task.base import Prediction
from attnkit.train.predictor import Predictor, Text


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
        return Inputs(run, {"text": tokens}, {"summary.": (None, "text"), "wide": (None, "text")}, cut)

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
