"""A run, or what was shipped from one, behind the same questions: `attn predict` takes either."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from attnkit.bundle.artefact import Artefact
from attnkit.bundle.contents import is_artefact
from attnkit.data.encoding import Text
from attnkit.data.schema import Schema
from attnkit.errors import UsageError
from attnkit.ship.shipping import open_shipped
from attnkit.task.base import Prediction
from attnkit.train.predictor import load
from attnkit.train.shading import Shading, shaded, shading


class Answers(Protocol):
    """What predicts texts, and shows where it looked in one."""

    @property
    def schema(self) -> Schema:
        """What the columns of its training data meant."""
        ...

    @property
    def paired(self) -> bool:
        """True where a text is a pair of texts."""
        ...

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        """Label and probabilities of each text, in order."""
        ...

    def look(self, text: Text) -> Shading:
        """Where it looked in one text."""
        ...


class _OfRun:
    def __init__(self, run: Path, allow_code: bool, task: str | None) -> None:
        self._inner = load(run, allow_code=allow_code, task=task)
        self.schema, self.paired = self._inner.schema, self._inner.paired

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        return self._inner.predict(texts)

    def look(self, text: Text) -> Shading:
        return shading(self._inner, text)


class _OfArtefact:
    def __init__(self, inner: Artefact) -> None:
        self._inner = inner
        self.schema, self.paired = Schema.from_dict(inner.contract.source["schema"]), inner.paired

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        return [Prediction(**one) for one in self._inner.predict(texts)]

    def look(self, text: Text) -> Shading:
        looked = self._inner.attention(text)
        return shaded(self._inner.tokenizer, text, looked, Prediction(**looked.prediction))


def open_answers(path: str | os.PathLike[str], *, allow_code: bool = False, task: str | None = None) -> Answers:
    """The run, artefact or bundle at `path`, ready to answer; `task` is for runs, as what is shipped has one.

    Raises: UsageError where it is missing or damaged, or a task is named of what was shipped.
    """
    place = Path(path)
    if not is_artefact(place):
        return _OfRun(place, allow_code, task)
    if task is not None:
        raise UsageError(f"{place} was shipped for one task; leave --task out, or ship that task of its run")
    return _OfArtefact(open_shipped(place, allow_code=allow_code))
