"""A file that was sent, with predictions added."""

import re
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from attnkit.data.schema import Schema
from attnkit.errors import UsageError
from attnkit.serve.answerer import Answerer
from attnkit.serve.service import Service
from attnkit.task.base import Prediction
from attnkit.train.predict_rows import predict_file
from attnkit.train.predictor import Text

KINDS = {
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".jsonl": "application/jsonl",
    ".json": "application/json",
    ".txt": "text/plain",
}


@dataclass(frozen=True)
class Made:
    """The file with predictions: a name that any header may carry, what kind it is, and its rows."""

    name: str
    media_type: str
    content: bytes
    rows: int


class _ThroughQueue:
    """Predicts as a Predictor does, a few rows at a time behind whatever else waits."""

    def __init__(self, service: Service, model: Answerer) -> None:
        self._service, self._model = service, model

    @property
    def schema(self) -> Schema:
        return self._model.schema

    @property
    def paired(self) -> bool:
        return self._model.paired

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        """The predictions of all texts.

        Raises: UsageError where there are more than one file may hold.
        """
        limits, rows = self._service.settings.limits, self._service.settings.batching.rows
        if len(texts) > limits.file_rows:
            raise UsageError(f"it has {len(texts):,} rows and at most {limits.file_rows:,} are taken; send it in parts")
        found: list[Prediction] = []
        for start in range(0, len(texts), rows):
            promises = self._service.batcher.predict(self._model, texts[start : start + rows])
            _, late = wait(promises, limits.seconds)
            for promise in late:
                promise.cancel()
            if late:
                raise TimeoutError
            found += [promise.result().prediction for promise in promises]
        for one in found:
            self._service.metrics.label(self._model.name, one.label)
        return found


def predicted_file(
    service: Service,
    model: Answerer,
    content: bytes,
    name: str,
    columns: Mapping[str, str | None],
    probabilities: bool,
) -> Made:
    """The rows of a file with the columns prediction and probability; `columns` names those of text and pair.

    Raises: UsageError where it is of no known kind, cannot be read, or has too many rows.
    """
    named = PurePosixPath(name.replace("\\", "/")).name
    kind = PurePosixPath(named).suffix.lower()
    if kind not in KINDS:
        raise UsageError(f"the file's name must end in {', '.join(KINDS)}, which says what it is; give it such a name")
    with tempfile.TemporaryDirectory(prefix="attnkit-") as folder:
        place = Path(folder) / f"file{kind}"
        place.write_bytes(content)
        try:
            rows, made = predict_file(
                _ThroughQueue(service, model),
                place,
                probabilities=probabilities,
                text=columns.get("text"),
                pair=columns.get("pair"),
            )
        except UsageError as error:
            raise UsageError(str(error).replace(str(place), "the file")) from None
    stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", PurePosixPath(named).stem)[:100].strip(".-") or "file"
    return Made(f"{stem}-predicted{kind}", KINDS[kind], (made or "").encode("utf-8", "surrogatepass"), rows)
