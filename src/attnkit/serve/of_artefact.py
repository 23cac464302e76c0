"""What was shipped as something that answers: an ONNX folder, or a .pyz file, read and never executed."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attnkit.bundle import Artefact, open_artefact
from attnkit.bundle.contents import VERIFICATION, Contents
from attnkit.bundle.predictions import predictions
from attnkit.data.schema import Schema
from attnkit.errors import UsageError
from attnkit.serve.answerer import Encoded
from attnkit.serve.items import filled_up, items_of, widest
from attnkit.task.base import Prediction
from attnkit.train.predictor import Text
from attnkit.train.shading import Shading, shaded


class OfArtefact:
    """A shipped model; in int8 its rows are computed one by one, as scales that a batch shares would mix them."""

    def __init__(self, artefact: Artefact, name: str, figures: dict[str, Any] | None) -> None:
        self._artefact, self.name, self._figures = artefact, name, figures
        self.batchable = artefact.contract.precision != "int8"
        self.schema = Schema.from_dict(artefact.contract.source["schema"])

    @property
    def kind(self) -> str:
        """What it predicts: "single", "multi" or "score"."""
        return self._artefact.kind

    @property
    def paired(self) -> bool:
        """True where a text is a pair of texts."""
        return self._artefact.paired

    def encode(self, texts: Sequence[Text]) -> list[Encoded]:
        """Each text as ids cut to the model's limits, with how many tokens were cut.

        Raises: UsageError where a text is not what the model reads.
        """
        return items_of(self._artefact.tokenizer, self._artefact.limits, texts, self.paired)

    def answer(self, items: Sequence[Encoded]) -> list[Prediction]:
        """The prediction of each item, in order."""
        ids = filled_up(items)
        logits = self._artefact.logits_of(ids, len(ids))[: len(items)]
        return [Prediction(**one) for one in predictions(logits, self._artefact.contract)]

    def look(self, text: Text) -> Shading:
        """The prediction of one text, with where the pooling looked.

        Raises: UsageError where the model was shipped without its attention.
        """
        looked = self._artefact.attention(text)
        return shaded(self._artefact.tokenizer, text, looked, Prediction(**looked.prediction))

    def widest(self) -> Encoded:
        """An item at the limits."""
        return widest(self._artefact.limits)

    def told(self) -> dict[str, Any]:
        """Task, classes, limits, precision, the run it came from, and its figure as it was shipped."""
        contract = self._artefact.contract
        return {
            "name": self.name,
            "source": f"{contract.target}, {contract.precision}",
            "run": contract.source.get("name"),
            "kind": self.kind,
            "classes": list(self._artefact.classes),
            "paired": self.paired,
            "attention": contract.attention,
            "limits": vars(self._artefact.limits),
            "figures": self._figures,
        }


def open_shipped(path: Path, name: str, *, threads: int, task: str | None) -> OfArtefact:
    """The artefact or bundle at `path`, ready to answer.

    Raises: UsageError where it is damaged, was shipped to something that runs elsewhere, or a task is named of it.
    """
    if task is not None:
        raise UsageError(f"{path} was shipped for one task; leave --task out, or ship that task of its run")
    return OfArtefact(open_artefact(path, threads=threads), name, _figures(Contents(path)))


def _figures(contents: Contents) -> dict[str, Any] | None:
    try:
        found = json.loads(contents.read(VERIFICATION))
        measured = found["of_artefact"]
        figure = {key: measured[key] for key in ("name", "value", "low", "high", "n")}
        return {"of": "evaluation", "protocol": found["protocol"], "measures": [figure]}
    except (UsageError, ValueError, KeyError, TypeError):
        return None
