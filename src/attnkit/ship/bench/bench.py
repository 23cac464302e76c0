"""bench(run): every form of a run in one table."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.data.encoding import Text
from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.machine import describe_machine
from attnkit.ship.bench.forms import Form, Ready, forms, reader_of
from attnkit.ship.bench.peak import peak_of
from attnkit.ship.bench.timing import Latency, latencies
from attnkit.ship.rows import labeled_rows
from attnkit.task.base import Task
from attnkit.task.metrics.bootstrap import interval
from attnkit.task.resampled import resampled
from attnkit.task.score import Score
from attnkit.train.predictor import Predictor, load

FORMS = ("compiled", "bfloat16", "onnx", "onnx-int8")
BATCHES = (1, 32)
_READ_ROWS = 32
_ANY_ID = 3
Say = Callable[[str], None]


@dataclass
class Line:
    """One form: what it weighs, measures and costs; `status` says why where it could not be made."""

    name: str
    status: str = "ready"
    size: int | None = None
    measure: dict[str, float] | None = None
    difference: dict[str, float] | None = None
    largest_difference: float | None = None
    changed_labels: int | None = None
    latency: dict[str, Latency] = field(default_factory=dict)
    texts_a_second: float | None = None
    peak_bytes: int | None = None
    attention: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Benched:
    """Lines of all forms, "eager" first, and how they were measured."""

    run: str
    measure: str
    protocol: str
    tokens: int
    threads: int
    lines: tuple[Line, ...]
    machine: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**vars(self), "lines": [line.to_dict() for line in self.lines]}


def bench(
    run: str | os.PathLike[str] | Run,
    *,
    wanted: Sequence[str] = FORMS,
    also: Sequence[Path] = (),
    tools: Mapping[str, Path] | None = None,
    tokens: int | None = None,
    rows: int = 1000,
    seconds: float = 10.0,
    data: Path | None = None,
    task: str | None = None,
    allow_code: bool = False,
    say: Say = lambda line: None,
) -> Benched:
    """Hold the forms of a run side by side: size, measure on the evaluation rows, latency of texts of `tokens` tokens.

    Latencies are taken with the threads that torch has, all forms in turn. A form that cannot be made is a line that
    says why.

    Raises: UsageError where the run cannot be read, or a form has no such name.
    """
    opened = Run.open(run)
    predictor = load(opened, task=task)
    if predictor.preprocessing.hierarchical or predictor.task.kind == "language":
        raise UsageError(
            f"{opened.path} reads no plain texts with labels, and there is nothing to hold side by side yet"
        )
    limit = predictor.preprocessing.max_tokens
    length = limit if tokens is None else tokens
    if not 1 <= length <= limit or rows < 1 or seconds <= 0:
        raise UsageError(f"--tokens takes 1 to {limit} here, --rows 1 and more, --seconds more than 0")
    held = labeled_rows(opened, predictor, task, data, rows)
    if not held.examples:
        raise UsageError(f"there are no rows to measure: {held.missing}; name some with --data")
    threads = torch.get_num_threads()
    made = _made(forms(opened, wanted, also, tools or {}, threads, task, allow_code), say)
    lines = [line for line, _ in made]
    ready = {line.name: one for line, one in made if one is not None}
    try:
        _measure(predictor, list(held.examples), ready, {line.name: line for line in lines}, say)
        _time(ready, {line.name: line for line in lines}, length, seconds, say)
        for line in lines:
            if line.name in ready:
                line.peak_bytes = peak_of(ready[line.name], line.name, max(BATCHES), length, threads)
    finally:
        for one in ready.values():
            one.close()
    name = predictor.task.select.measure
    return Benched(str(opened.path), name, held.protocol, length, threads, tuple(lines), describe_machine())


def _made(wanted: Sequence[Form], say: Say) -> list[tuple[Line, Ready | None]]:
    found: list[tuple[Line, Ready | None]] = []
    for form in wanted:
        say(f"making {form.name}")
        line = Line(form.name)
        try:
            ready = form.make()
        except Exception as error:
            # A converter or compiler raises what it stumbles on, and the other forms go on.
            line.status = " ".join(str(error).split())[:300] or type(error).__name__
            found.append((line, None))
            continue
        line.size, line.attention = ready.size, ready.attention
        found.append((line, ready))
    return found


def _measure(
    predictor: Predictor, examples: list[Example], ready: dict[str, Ready], lines: dict[str, Line], say: Say
) -> None:
    """The measure of each form with its interval, and that of its difference from the first on the same rows."""
    task, own = predictor.task, reader_of(predictor)
    texts: list[Text] = [(row.text, row.pair or "") if predictor.paired else row.text for row in examples]
    found: dict[str, Tensor] = {}
    for name in list(ready):
        say(f"measuring {name} on {len(examples):,} rows")
        if ready[name].reader.task != own.task:
            lines[name].status = "it predicts other labels, or scores of another scale, than the run it is held to"
            ready.pop(name).close()
            continue
        try:
            found[name] = torch.from_numpy(_logits(ready[name], texts, task.outputs))
        except Exception as error:
            # A compiler or runtime raises what it stumbles on, and the other forms go on.
            lines[name].status = f"failed: {' '.join(str(error).split())[:160] or type(error).__name__}"
            ready.pop(name).close()
    outputs = [_in_units(task, one) for one in found.values()]
    values, drawn = resampled(task, examples, outputs, np.random.default_rng(0))
    first = next(iter(found.values()))
    labels = [one.label for one in task.predict(first)]
    for place, (name, logits_nC) in enumerate(found.items()):
        line = lines[name]
        line.measure = _spread(float(values[place]), drawn[:, place])
        line.difference = _spread(float(values[place] - values[0]), drawn[:, place] - drawn[:, 0])
        line.largest_difference = float((logits_nC - first).abs().max())
        said = [one.label for one in task.predict(logits_nC)]
        line.changed_labels = sum(one != other for one, other in zip(said, labels, strict=True))


def _logits(ready: Ready, texts: Sequence[Text], outputs: int) -> NDArray[Any]:
    """Logits (n, C) of the texts, those of like length together."""
    items = ready.reader.items(texts)
    order = sorted(range(len(items)), key=lambda number: len(items[number]))
    found = np.zeros((len(items), outputs), np.float32)
    for start in range(0, len(order), _READ_ROWS):
        numbers = order[start : start + _READ_ROWS]
        found[numbers] = ready.call(*ready.reader.collate([items[number] for number in numbers]))
    return found


def _time(ready: dict[str, Ready], lines: dict[str, Line], length: int, seconds: float, say: Say) -> None:
    for rows in BATCHES:
        say(f"timing {rows} texts of {length} tokens at a time")
        ids = np.full((rows, length), _ANY_ID, np.int64)
        keep = np.ones_like(ids, dtype=bool)
        calls = {name: _calling(one, ids, keep) for name, one in ready.items()}
        for name, latency in latencies(calls, seconds).items():
            lines[name].latency[str(rows)] = latency
            lines[name].texts_a_second = rows / latency.p50


def _calling(ready: Ready, ids: NDArray[Any], keep: NDArray[Any]) -> Callable[[], Any]:
    return lambda: ready.call(ids, keep)


def _in_units(task: Task, logits: Tensor) -> Tensor:
    return logits * task.deviation + task.mean if isinstance(task, Score) else logits


def _spread(value: float, drawn: NDArray[Any]) -> dict[str, float]:
    low, high = interval(value, drawn)
    return {"value": value, "low": low, "high": high}
