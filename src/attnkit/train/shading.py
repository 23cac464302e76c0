"""A text in pieces, each with the weight that the pooling gave it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from attnkit.data.tokens.tokenizer import TextTokenizer
from attnkit.task.base import Prediction
from attnkit.train.predictor import Predictor, Text

Pieces = tuple[tuple[str, float | None], ...]


@dataclass(frozen=True)
class Shading:
    """`pieces` joined are the text (weight None between tokens); `tokens` are the pieces that were weighed."""

    pieces: Pieces
    prediction: Prediction
    cut: int

    @property
    def tokens(self) -> list[tuple[str, float]]:
        """The weighed pieces in the order of the text."""
        return [(piece, weight) for piece, weight in self.pieces if weight is not None]

    def heaviest(self, count: int) -> list[tuple[str, float]]:
        """The `count` pieces that weigh most."""
        return sorted(self.tokens, key=lambda entry: -entry[1])[:count]


class Weighed(Protocol):
    """What a run, or what was shipped from one, says of where it looked."""

    @property
    def tokens(self) -> Sequence[str]:
        """The tokens that were read."""
        ...

    @property
    def weights(self) -> Sequence[float]:
        """The weight of each."""
        ...

    @property
    def cut(self) -> int:
        """Tokens beyond the limit."""
        ...


def shading(predictor: Predictor, text: Text) -> Shading:
    """Where the model looked in one text, in the text's own letters where its tokens can be found in it."""
    looked = predictor.attention(text)
    return shaded(predictor.preprocessing.tokenizer, text, looked, looked.prediction)


def shaded(tokenizer: TextTokenizer, text: Text, looked: Weighed, prediction: Prediction) -> Shading:
    """What was said of one text, in the text's own letters where its tokens can be found in it."""
    found = _in_text(tokenizer, text, looked.tokens, looked.weights) if isinstance(text, str) else None
    return Shading(found or _apart(looked.tokens, looked.weights), prediction, looked.cut)


def _in_text(tokenizer: TextTokenizer, text: str, tokens: Sequence[str], weights: Sequence[float]) -> Pieces | None:
    places = tokenizer.offsets(text)
    ids = tokenizer.encode_all([text])[0][: len(weights)]
    # A hierarchical model cuts sentences first, which may part tokens otherwise than the whole text would.
    if tokenizer.tokens(ids) != list(tokens):
        return None
    pieces: list[tuple[str, float | None]] = []
    last = 0
    for (start, end), weight in zip(places, weights, strict=False):
        start = max(start, last)
        if start > last:
            pieces.append((text[last:start], None))
        if end > start:
            pieces.append((text[start:end], weight))
        last = max(last, end)
    return (*pieces, *([(text[last:], None)] if last < len(text) else []))


def _apart(tokens: Sequence[str], weights: Sequence[float]) -> Pieces:
    pieces: list[tuple[str, float | None]] = []
    for token, weight in zip(tokens, weights, strict=True):
        pieces += [(token, weight), (" ", None)]
    return tuple(pieces)
