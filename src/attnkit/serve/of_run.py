"""A run as something that answers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from attnkit.data.encoding import Limits
from attnkit.data.schema import Schema
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.serve.answerer import Encoded
from attnkit.serve.items import filled_up, items_of, widest
from attnkit.task.base import Prediction
from attnkit.train.predictor import Predictor, Text, load
from attnkit.train.shading import Shading, shading


class OfRun:
    """A trained run; rows are filled up to few different counts, so that computations come in few sizes."""

    def __init__(self, predictor: Predictor, run: Run, name: str) -> None:
        self._predictor, self._run, self.name = predictor, run, name
        self.batchable = True

    @property
    def kind(self) -> str:
        """What it predicts: "single", "multi" or "score"."""
        return self._predictor.task.kind

    @property
    def schema(self) -> Schema:
        """What the columns of its training data meant."""
        return self._predictor.schema

    @property
    def paired(self) -> bool:
        """True where a text is a pair of texts."""
        return self._predictor.paired

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """Each text as ids cut to the model's limits, with how many tokens were cut.

        Raises: UsageError where a text is not what the model reads.
        """
        return items_of(self._predictor.preprocessing.tokenizer, self._limits, texts, self.paired)

    @property
    def _limits(self) -> Limits:
        return Limits(**self._predictor.preprocessing.limits())

    def answer(self, items: Sequence[Encoded]) -> list[Prediction]:
        """The prediction of each item, in order, whatever stands beside it."""
        ids = filled_up(items)
        with torch.inference_mode():
            logits = self._predictor.network(*self._predictor.preprocessing.collate(ids))
        return self._predictor.task.predict(logits[: len(items)])

    def look(self, text: Text) -> Shading:
        """The prediction of one text, with where the pooling looked."""
        return shading(self._predictor, text)

    def widest(self) -> Encoded:
        """An item at the limits."""
        return widest(self._limits)

    def told(self) -> dict[str, Any]:
        """Task, classes, limits, size, run and figures."""
        metrics, settings = self._run.metrics, self._predictor.settings
        of = "test" if metrics.get("test") else "validation"
        weights = self._predictor.network.parameters()
        return {
            "name": self.name,
            "source": "run",
            "run": self._run.name,
            "kind": self.kind,
            "classes": list(self._predictor.classes),
            "paired": self.paired,
            "attention": True,
            "encoder": settings.encoder,
            "pooling": settings.pooling if isinstance(settings.pooling, str) else settings.pooling.get("type"),
            "parameters": sum(weight.numel() for weight in weights),
            "limits": self._predictor.preprocessing.limits(),
            "figures": {
                "of": of,
                "protocol": metrics.get("protocol"),
                "measures": [
                    {key: one[key] for key in ("name", "value", "low", "high", "n")}
                    for name, one in (metrics.get(of) or {}).items()
                    if ":" not in name
                ],
            },
        }


def open_run(path: Path, name: str, *, task: str | None = None, allow_code: bool = False) -> OfRun:
    """The model of a run directory, ready to answer.

    Raises: UsageError where the run is missing, unfinished or damaged, or predicts words.
    """
    run = Run.open(path)
    predictor = load(run, allow_code=allow_code, task=task)
    if predictor.task.kind == "language":
        raise UsageError(f"{path} predicts words and has no label to serve; train on its weights with [start] run")
    return OfRun(predictor, run, name)
