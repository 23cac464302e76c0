"""Requests gathered into batches, and computed by one thread."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

from attnkit.errors import FailedError
from attnkit.serve.answerer import Answerer, Encoded
from attnkit.serve.settings import Batching
from attnkit.task.base import Prediction
from attnkit.train.predictor import Text
from attnkit.train.shading import Shading

# Rows of one computation have at most half as many positions again as the shortest of them.
_LONGER = 1.5
_ALIKE = 8


class Busy(FailedError):
    """The queue is full, or the service is stopping: the request was not accepted."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction, and how many tokens of the text lie beyond the model's limit."""

    prediction: Prediction
    cut: int


@dataclass(frozen=True, slots=True)
class Computed:
    """One computation: its rows, the positions they hold, those that were computed with padding, and its seconds."""

    model: str
    rows: int
    tokens: int
    padded: int
    seconds: float


@dataclass(slots=True)
class _Row:
    model: Answerer
    text: Text
    ask: Literal["answer", "look"]
    promise: "Future[Any]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class _Work:
    work: Callable[[], None]
    promise: "Future[Any]" = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


class Batcher:
    """A bounded queue of texts and the thread that answers them.

    Texts wait until there are `rows` of them or the first has waited `wait_ms`; those of one model and like length are
    computed together. Whoever cancels a promise before its turn is left out. `heard` is told of each computation.
    """

    def __init__(self, settings: Batching, heard: Callable[[Computed], None] = lambda computed: None) -> None:
        self.settings = settings
        self._heard = heard
        self._waiting: deque[_Row | _Work] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._warming: list[tuple[Answerer, Future[None]]] = []
        self._thread = threading.Thread(target=self._run, name="attnkit-compute", daemon=True)

    def start(self, models: Sequence[Answerer] = ()) -> None:
        """Begin to answer, after computing the largest batch of each model once: memory then has its final size.

        Raises: whatever a model raises on its largest batch.
        """
        self._warming = [(model, Future[None]()) for model in models]
        self._thread.start()
        try:
            for _, warmed in self._warming:
                warmed.result()
        except Exception:
            self.stop()
            raise

    def stop(self) -> None:
        """Answer what waits, accept nothing more, and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def alive(self) -> bool:
        """True while the thread computes or waits."""
        return self._thread.is_alive()

    @property
    def waiting(self) -> int:
        """Texts in the queue."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """True where not one more text can wait."""
        return len(self._waiting) >= self.settings.queue_rows

    def predict(self, model: Answerer, texts: Sequence[Text]) -> "list[Future[Answer]]":
        """A promise for each text: all of them accepted, or none.

        Raises: Busy where they do not fit into the queue, or the service is stopping.
        """
        return self._accepted([_Row(model, text, "answer") for text in texts])

    def look(self, model: Answerer, text: Text) -> "Future[Shading]":
        """A promise of a prediction with where the model looked.

        Raises: Busy where it does not fit into the queue, or the service is stopping.
        """
        return self._accepted([_Row(model, text, "look")])[0]

    def do(self, work: Callable[[], None]) -> "Future[None]":
        """A promise of `work` done in turn, on the thread that computes and between two computations.

        Raises: Busy where it does not fit into the queue, or the service is stopping.
        """
        return self._accepted([_Work(work)])[0]

    def _accepted(self, rows: "Sequence[_Row | _Work]") -> "list[Future[Any]]":
        with self._changed:
            if self._stopping:
                raise Busy("the service is stopping; ask again at another instance")
            if len(self._waiting) + len(rows) > self.settings.queue_rows:
                raise Busy(
                    f"{len(self._waiting):,} texts wait already and at most {self.settings.queue_rows:,} may; "
                    "ask again in a moment"
                )
            self._waiting.extend(rows)
            self._changed.notify_all()
        return [row.promise for row in rows]

    def _run(self) -> None:
        for model, warmed in self._warming:
            try:
                self._warm(model)
                warmed.set_result(None)
            except Exception as error:
                warmed.set_exception(error)
        while rows := self._gathered():
            self._answer([row for row in rows if row.promise.set_running_or_notify_cancel()])

    def _gathered(self) -> list[_Row | _Work]:
        """The next rows, in the order they came; none where the service has stopped and nothing waits."""
        most = self.settings.rows
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._stopping)
            if not self._waiting:
                return []
            until = self._waiting[0].since + self.settings.wait_ms / 1000
            while most > 1 and len(self._waiting) < most and not self._stopping:
                left = until - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            return self._next(most)

    def _next(self, most: int) -> "list[_Row | _Work]":
        """The first texts that wait, at most so many, up to the first work; or that work alone."""
        rows: list[_Row | _Work] = []
        while self._waiting and len(rows) < most and not (rows and isinstance(self._waiting[0], _Work)):
            rows.append(self._waiting.popleft())
            if isinstance(rows[-1], _Work):
                break
        return rows

    def _answer(self, rows: "Sequence[_Row | _Work]") -> None:
        by_model: dict[int, list[tuple[_Row, Encoded]]] = {}
        for row in rows:
            if isinstance(row, _Work):
                self._kept(row, row.work)
                continue
            if row.ask == "look":
                self._kept(row, lambda row=row: row.model.look(row.text))  # type: ignore[misc]
                continue
            try:
                by_model.setdefault(id(row.model), []).append((row, row.model.encode([row.text])[0]))
            except Exception as error:
                row.promise.set_exception(error)
        for pairs in by_model.values():
            for batch in self._alike(pairs):
                self._compute(batch)

    def _alike(self, pairs: list[tuple[_Row, Encoded]]) -> list[list[tuple[_Row, Encoded]]]:
        """The rows of one model in batches of like length, each within the bounds of one computation."""
        batches: list[list[tuple[_Row, Encoded]]] = []
        for row, item in sorted(pairs, key=lambda pair: pair[1].width):
            last = batches[-1] if batches and row.model.batchable else None
            near = last is not None and item.width <= max(_ALIKE, _LONGER * last[0][1].width)
            if last is not None and near and (len(last) + 1) * item.width <= self.settings.tokens:
                last.append((row, item))
            else:
                batches.append([(row, item)])
        return batches

    def _compute(self, batch: list[tuple[_Row, Encoded]]) -> None:
        model, items = batch[0][0].model, [item for _, item in batch]
        began = time.monotonic()
        try:
            predictions = model.answer(items)
        except Exception as error:
            if len(batch) == 1:
                batch[0][0].promise.set_exception(error)
                return
            # One row that cannot be computed must not take the others with it.
            for pair in batch:
                self._compute([pair])
            return
        for (row, item), prediction in zip(batch, predictions, strict=True):
            row.promise.set_result(Answer(prediction, item.cut))
        widths = [item.width for item in items]
        took = time.monotonic() - began
        self._heard(Computed(model.name, len(items), sum(widths), len(items) * max(widths), took))

    def _kept(self, row: _Row | _Work, make: Callable[[], Any]) -> None:
        try:
            row.promise.set_result(make())
        except Exception as error:
            row.promise.set_exception(error)

    def _warm(self, model: Answerer) -> None:
        item = model.widest()
        rows = max(1, min(self.settings.rows, self.settings.tokens // max(1, item.width)))
        for count in {1, rows if model.batchable else 1}:
            model.answer([item] * count)
