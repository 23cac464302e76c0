"""Labeled rows of a run to measure an export on."""

import random
from pathlib import Path

from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.ship.verify import Rows
from attnkit.train.evaluation import recorded_rows, rows_given
from attnkit.train.predictor import Predictor

_SEED = 0


def labeled_rows(run: Run, predictor: Predictor, task: str | None, data: Path | None, most: int) -> Rows:
    """Rows of `data`, or else of the run's test split, or its validation split; at most `most`, drawn (0: all).

    Raises: UsageError where `data` is named and cannot be read.
    """
    if predictor.task.kind == "language":
        return Rows(missing="a language model has no labels")
    found, protocol = rows_given(run, data, task) if data is not None else _recorded(run, task)
    labeled = [row for row in found if row.label is not None]
    if data is not None and not labeled:
        raise UsageError(f"no row of {data} has a label, which measuring needs")
    if not labeled:
        return Rows(missing=protocol)
    if most and len(labeled) > most:
        drawn = sorted(random.Random(_SEED).sample(range(len(labeled)), most))
        protocol += f", {most:,} of its {len(labeled):,} drawn with seed {_SEED}"
        labeled = [labeled[number] for number in drawn]
    return Rows(labeled, protocol)


def _recorded(run: Run, task: str | None) -> tuple[list[Example], str]:
    """The rows and how they were chosen, or none and why."""
    reason = ""
    for split in ("test", "validation"):
        try:
            return recorded_rows(run, task, split)
        except (UsageError, KeyError) as error:
            reason = reason or str(error)
    return [], reason
