"""evaluate(run): measure a trained model again, on the rows it was tested on or on other data."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.data.examples import Example, to_examples
from attnkit.data.readers import read
from attnkit.data.readers.lines import holds_lines, read_lines
from attnkit.data.schema import Schema
from attnkit.data.split import Splits, split_ids
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.task.base import Prediction
from attnkit.task.metrics import Confusion, Measure
from attnkit.task.single_label import SingleLabel
from attnkit.train.loop import predict_logits
from attnkit.train.predictor import load
from attnkit.train.prepare import data_sha256


@dataclass(frozen=True)
class Evaluation:
    """Measures by name, the rows they stand on with the prediction of each, how the rows were chosen, the confusion.

    `confusion` is None where rows have no single class.
    """

    measures: dict[str, Measure]
    examples: list[Example]
    predictions: list[Prediction]
    protocol: str
    confusion: Confusion | None = None


def evaluate(
    run: str | os.PathLike[str] | Run,
    data: str | os.PathLike[str] | None = None,
    *,
    allow_code: bool = False,
    task: str | None = None,
) -> Evaluation:
    """Measure a run on `data` (its test split where it has one), or on its own test rows where the data still stands.

    Where it learned several tasks, `task` names the one that is measured; the main one where left out.

    The protocol says how many rows had no label and were left out, and how many the model was trained on.

    Raises: UsageError where the data changed or is gone, lacks the run's columns, or holds a label the model never met.
    """
    opened = Run.open(run)
    predictor = load(opened, allow_code=allow_code, task=task)
    record = _record(opened, task)
    examples, protocol = rows_given(opened, data, task) if data is not None else recorded_rows(opened, task)
    words = predictor.task.kind == "language"
    labeled = [row for row in examples if (row.text.strip() if words else row.label is not None)]
    if not labeled:
        raise UsageError(f"no row of {data or 'the recorded test split'} has a label; predict it with `attn predict`")
    prepare, asked = predictor.preprocessing, predictor.task
    targets = asked.targets(labeled)
    items = prepare.encode([row.text for row in labeled], [row.pair for row in labeled])
    logits = predict_logits(predictor.network, prepare, items)
    protocol += _caveats(record, len(examples) - len(labeled), labeled)
    confusion = asked.confusion(logits, targets) if isinstance(asked, SingleLabel) else None
    return Evaluation(asked.measure(logits, targets), labeled, asked.predict(logits), protocol, confusion)


def _record(run: Run, task: str | None) -> dict[str, Any]:
    """What data.json holds of a task, which the model is known to have; None is the main one."""
    return next((one for one in run.data.get("also", ()) if one["name"] == task), run.data)


def _caveats(record: dict[str, Any], unlabeled: int, rows: list[Example]) -> str:
    """What a reader of the figures must know of the rows, behind the protocol."""
    trained = set(record["splits"]["train"])
    known = sum(key in trained for key in split_ids(Splits([], [], rows))["test"])
    said = f"; {unlabeled:,} without a label left out" if unlabeled else ""
    return said + (f"; {known:,} of them stand in its training rows" if known else "")


def recorded_rows(run: Run, task: str | None = None, split: str = "test") -> tuple[list[Example], str]:
    """The rows of a run's split ("train", "validation" or "test"), read again from its data, and how they were chosen.

    Raises: UsageError where it had none, or the data changed or is gone.
    """
    record = _record(run, task)
    path, ids = Path(record["path"]), record["splits"][split]
    if not ids:
        raise UsageError(f"{run.path} was trained without {split} rows; name data to evaluate it on")
    if not path.exists():
        raise UsageError(f"the data of {run.path} no longer stands at {path}; name data to evaluate it on")
    if data_sha256(path) != record["sha256"]:
        raise UsageError(f"{path} changed since {run.path} was trained on it; name data to evaluate it on")
    schema = Schema.from_dict(record["schema"])
    rows = [row for table in read(path).values() for row in to_examples(table, schema)]
    known = split_ids(Splits([], [], rows))["test"]
    # The same text and label may stand in several rows; each recorded id takes one of them.
    places: dict[str, list[Example]] = {}
    for key, row in zip(known, rows, strict=True):
        places.setdefault(key, []).append(row)
    found = [places[key].pop(0) for key in ids if places.get(key)]
    if len(found) < len(ids):
        raise UsageError(
            f"{len(ids) - len(found)} {split} rows of {run.path} are not in {path}; name data to evaluate it on"
        )
    if split != "test":
        return found, f"the {split} rows of the run, read again"
    if run.recipe.evaluate.folds:
        return found, "the held-out rows of fold 1, whose model the run keeps, read again"
    return found, "the rows of the run's own test split, read again"


def rows_given(run: Run, data: str | os.PathLike[str], task: str | None = None) -> tuple[list[Example], str]:
    """The rows of `data`, of its test split where it has one, with the columns of a run, and how they were chosen.

    Raises: UsageError where it cannot be read, or lacks the label.
    """
    schema = Schema.from_dict(_record(run, task)["schema"])
    words = schema.label is None
    tables = {"all": read_lines(Path(data))} if words and holds_lines(Path(data)) else read(data)
    name = "test" if "test" in tables else "all"
    if name not in tables:
        raise UsageError(f"{data} holds {', '.join(tables)} and no test split; name one file")
    if not words and schema.label not in tables[name].columns:
        raise UsageError(
            f"{data} has no column {schema.label!r}, the label of {run.path}; rename it, or use `attn predict`"
        )
    which = "the test split" if name == "test" else "all rows"
    return to_examples(tables[name], schema), f"{which} of {Path(data).name}"
