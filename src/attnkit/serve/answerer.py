"""Answerer: what a service asks of a model, whether it is a run, a bundle or an artefact."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from attnkit.data.schema import Schema
from attnkit.task.base import Prediction
from attnkit.train.predictor import Text
from attnkit.train.shading import Shading


@dataclass(frozen=True, slots=True)
class Encoded:
    """One text as the model reads it: its ids, how many positions they take, and how many tokens the limit cut off."""

    ids: Any
    width: int
    cut: int


class Answerer(Protocol):
    """A model that is ready to answer; it is called from one thread at a time."""

    @property
    def name(self) -> str:
        """What requests and pages call it."""
        ...

    @property
    def kind(self) -> str:
        """What it predicts: "single", "multi" or "score"."""
        ...

    @property
    def schema(self) -> Schema:
        """What the columns of its training data meant."""
        ...

    @property
    def paired(self) -> bool:
        """True where a text is a pair of texts."""
        ...

    @property
    def batchable(self) -> bool:
        """False where the rows of a batch change one another's answers, as dynamic int8 scales do."""
        ...

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """Each text as the model reads it.

        Raises: UsageError where a text is not what the model reads.
        """
        ...

    def answer(self, items: Sequence[Encoded]) -> list[Prediction]:
        """The prediction of each item, in order."""
        ...

    def look(self, text: Text) -> Shading:
        """The prediction of one text, with where the model looked."""
        ...

    def widest(self) -> Encoded:
        """An item as large as any that `encode` gives, to warm up with."""
        ...

    def told(self) -> dict[str, Any]:
        """What the model is, as plain data: task, classes, limits, where it came from, its figures."""
        ...
