"""Beside its parent: size, figure, paired difference and time of a smaller run."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from torch import Tensor

from attnkit.data.examples import Example
from attnkit.data.split import Splits, split_ids
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.task.metrics.bootstrap import interval
from attnkit.task.resampled import resampled
from attnkit.task.score import Score
from attnkit.train.evaluation import recorded_rows
from attnkit.train.loop import predict_logits
from attnkit.train.predictor import Predictor, load

# Texts and passes that the time is measured by.
TIMED_TEXTS, PASSES = 512, 5


@dataclass(frozen=True)
class Side:
    """One run: its weights, the bytes they take on disk, its figure with a 95 % interval, and processor time a text."""

    run: str
    parameters: int
    disk_bytes: int
    value: float
    low: float
    high: float
    core_ms_a_text: float


@dataclass(frozen=True)
class Beside:
    """Two runs on the same rows of `part`; `difference` is (value, low, high) of the later one less the former."""

    part: str
    rows: int
    measure: str
    higher_is_better: bool
    before: Side
    after: Side
    difference: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def put_beside(before: Run, after: Run, *, allow_code: bool = False) -> Beside:
    """Measure both on the test rows, or on the validation rows where there are none.

    Intervals are percentiles over 4,000 resamples of the rows, the same for both; times are medians of five passes over
    at most 512 of the texts, taken in turns.

    Raises: UsageError where the rows of the two differ, or cannot be read again.
    """
    part = "test" if before.metrics["test"] and after.metrics["test"] else "validation"
    rows, _ = recorded_rows(before, split=part)
    others = after.data["splits"][part]
    if split_ids(Splits([], [], rows))["test"] != others:
        raise UsageError(f"{after.path} and {before.path} are of other rows; compare runs of one split")
    held = [load(run, allow_code=allow_code) for run in (before, after)]
    task = held[0].task
    outputs = [_outputs(one, rows) for one in held]
    value_2, drawn_R2 = resampled(task, rows, outputs, np.random.default_rng(0))
    spent = _times(held, rows)
    sides = []
    for number, (run, one) in enumerate(zip((before, after), held, strict=True)):
        value = float(value_2[number])
        parameters = sum(parameter.numel() for parameter in one.network.parameters())
        size = (run.path / "model" / "weights.safetensors").stat().st_size
        sides.append(Side(str(run.path), parameters, size, value, *interval(value, drawn_R2[:, number]), spent[number]))
    change = float(value_2[1] - value_2[0])
    low, high = interval(change, drawn_R2[:, 1] - drawn_R2[:, 0])
    select = task.select
    before_side, after_side = sides
    return Beside(
        part, len(rows), select.measure, select.higher_is_better, before_side, after_side, (change, low, high)
    )


def _outputs(predictor: Predictor, rows: Sequence[Example]) -> Tensor:
    logits = predict_logits(predictor.network, predictor.preprocessing, _items(predictor, rows))
    task = predictor.task
    return logits * task.deviation + task.mean if isinstance(task, Score) else logits


def _items(predictor: Predictor, rows: Sequence[Example]) -> list[Any]:
    return predictor.preprocessing.encode([row.text for row in rows], [row.pair for row in rows])


def _times(held: Sequence[Predictor], rows: Sequence[Example]) -> list[float]:
    """Processor milliseconds a text of each, tokens counted and the tokenizer not."""
    some = [rows[place * len(rows) // TIMED_TEXTS] for place in range(TIMED_TEXTS)] if len(rows) > TIMED_TEXTS else rows
    items = [_items(one, some) for one in held]
    spent: list[list[float]] = [[] for _ in held]
    for _ in range(PASSES):
        for number, one in enumerate(held):
            begun = time.process_time()
            predict_logits(one.network, one.preprocessing, items[number])
            spent[number].append((time.process_time() - begun) * 1000 / len(some))
    return [statistics.median(each) for each in spent]
