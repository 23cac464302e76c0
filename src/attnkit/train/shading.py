"""A text in pieces, each with the weight that the pooling gave it."""

from dataclasses import dataclass

from attnkit.task.base import Prediction
from attnkit.train.predictor import Looked, Predictor, Text


@dataclass(frozen=True)
class Shading:
    """`pieces` joined are the text (weight None between tokens); `tokens` are the pieces that were weighed."""

    pieces: tuple[tuple[str, float | None], ...]
    prediction: Prediction
    cut: int

    @property
    def tokens(self) -> list[tuple[str, float]]:
        """The weighed pieces in the order of the text."""
        return [(piece, weight) for piece, weight in self.pieces if weight is not None]

    def heaviest(self, count: int) -> list[tuple[str, float]]:
        """The `count` pieces that weigh most."""
        return sorted(self.tokens, key=lambda entry: -entry[1])[:count]


def shading(predictor: Predictor, text: Text) -> Shading:
    """Where the model looked in one text, in the text's own letters where its tokens can be found in it."""
    looked = predictor.attention(text)
    pieces = _in_text(predictor, text, looked) if isinstance(text, str) else None
    return Shading(pieces or _apart(looked), looked.prediction, looked.cut)


def _in_text(predictor: Predictor, text: str, looked: Looked) -> tuple[tuple[str, float | None], ...] | None:
    tokenizer = predictor.preprocessing.tokenizer
    places = tokenizer.offsets(text)
    ids = tokenizer.encode_all([text])[0][: len(looked.weights)]
    # A hierarchical model cuts sentences first, which may part tokens otherwise than the whole text would.
    if tokenizer.tokens(ids) != looked.tokens:
        return None
    pieces: list[tuple[str, float | None]] = []
    last = 0
    for (start, end), weight in zip(places, looked.weights, strict=False):
        start = max(start, last)
        if start > last:
            pieces.append((text[last:start], None))
        if end > start:
            pieces.append((text[start:end], weight))
        last = max(last, end)
    return (*pieces, *([(text[last:], None)] if last < len(text) else []))


def _apart(looked: Looked) -> tuple[tuple[str, float | None], ...]:
    pieces: list[tuple[str, float | None]] = []
    for token, weight in zip(looked.tokens, looked.weights, strict=True):
        pieces += [(token, weight), (" ", None)]
    return tuple(pieces)
