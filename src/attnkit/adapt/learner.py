"""Learner: a run that learns from feedback in small updates, each of which can be undone."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnkit.adapt.guard import encoded, make_guard, training_rows
from attnkit.adapt.prequential import Prequential
from attnkit.adapt.record import Event, LearnerFolder
from attnkit.adapt.settings import LearnSettings
from attnkit.adapt.step import apply_rows, changed_rows, copy_of, learning, put, update
from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.train.loop import predict_logits
from attnkit.train.predictor import load
from attnkit.train.update import Rows

# Training rows that are held ready to be replayed, and rows of feedback, the latest.
_REPLAYED_FROM = 5000


@dataclass(frozen=True)
class Outcome:
    """What came of an update: the point it made (0 where it was undone), the guard's figure, and the loss before it."""

    point: int
    guard: float
    loss: float
    reason: str = ""


class Learner:
    """`network` predicts as of `point`; `learn` takes the next rows of feedback.

    After a restart it stands where it stood: the frozen weights with the changes of its points. The same feedback in
    the same order makes the same points, in one go or in several.

    Raises: UsageError where the run's rows cannot be read again, or the folder belongs to another run.
    """

    def __init__(self, run: Run, folder: Path, settings: LearnSettings, *, allow_code: bool = False) -> None:
        self.settings = settings
        self.predictor = load(run, allow_code=allow_code)
        self.frozen = load(run, allow_code=allow_code)
        self.network, self.task, self.prepare = (
            self.predictor.network, self.predictor.task, self.predictor.preprocessing,
        )  # fmt: skip
        if self.task.kind == "language":
            raise UsageError(f"{run.path} predicts words and learns from texts; train on with `attn pretrain --from`")
        self.names = learning(self.network, settings.everything)
        self.guard = make_guard(run, self.network, self.task, self.prepare, settings.guard_rows, settings.seed)
        self.replayed = training_rows(run, self.task, self.prepare, _REPLAYED_FROM, settings.seed)
        self.folder = LearnerFolder(folder, run.path, settings.to_dict())
        self.point = self.points = self.updates = self.rows_read = 0
        self.digest = ""
        # The rows that made each point, and the points on the way to where the network stands.
        self.rows_of: dict[int, Rows] = {}
        self.way: list[int] = []
        self._spans: list[tuple[int, int]] = []
        for event in self.folder.events():
            self._take(event)
        self._stand_at(self.point)

    def _take(self, event: Event) -> None:
        self.point = int(event.values["point"]) or (self.point if event.kind == "update" else 0)
        if event.kind == "update":
            self.updates += 1
            self.rows_read += int(event.values["rows"])
            self.digest = str(event.values["digest"])
            self.points = max(self.points, int(event.values["point"]))
            self._spans.append((int(event.values["point"]), int(event.values["rows"])))

    def recall(self, rows: Sequence[Example]) -> None:
        """Hand over the feedback that was read before this process began, so that it can be replayed."""
        start = 0
        for point, count in self._spans:
            if point:
                self.rows_of[point] = encoded(list(rows[start : start + count]), self.task, self.prepare)
            start += count

    def _stand_at(self, point: int) -> None:
        put(self.network, copy_of(self.frozen.network, self.names))
        self.way = self.folder.way_to(point)
        for one in self.way:
            apply_rows(self.network, self.folder.read_point(one)[0])
        self.point = point

    def back_to(self, point: int) -> None:
        """Predict, and learn on, as of an earlier point; 0 is the frozen model.

        Raises: UsageError where there is no such point.
        """
        if not 0 <= point <= self.points:
            raise UsageError(f"there is no point {point}; {self.folder.path} has 0 (the frozen model) to {self.points}")
        self._stand_at(point)
        self.folder.add("back", point=point)

    def learn(self, rows: Sequence[Example], seen: Prequential, digest: str = "") -> Outcome:
        """Predict these rows, then learn from them, and undo that where the guard says so; `seen` gets both answers.

        `digest` stands for all feedback read up to these rows, so that it is known again.
        """
        fresh = encoded(list(rows), self.task, self.prepare)
        before = predict_logits(self.network, self.prepare, fresh.items)
        seen.add(rows, before, predict_logits(self.frozen.network, self.prepare, fresh.items))
        weights = copy_of(self.network, self.names)
        items, targets = self._with_replayed(fresh)
        point, points = self.point, self.points
        try:
            loss = update(self.network, self.task, self.prepare, items, targets, self.names, self.settings)
            outcome = self._guarded(weights, loss)
            self.folder.add(
                "update", point=outcome.point, rows=len(rows), guard=outcome.guard, loss=outcome.loss,
                reason=outcome.reason, digest=digest,
            )  # fmt: skip
        except BaseException:
            # What was not recorded did not happen; the network may be answering meanwhile.
            put(self.network, weights)
            self.point, self.points = point, points
            raise
        self.updates += 1
        self.rows_read += len(rows)
        self.digest = digest
        if outcome.point:
            self.rows_of[outcome.point] = fresh
            self.way.append(outcome.point)
        return outcome

    def _guarded(self, before: dict[str, Tensor], loss: float) -> Outcome:
        after = copy_of(self.network, self.names)
        measure, most = self.task.select.measure, self.settings.max_loss
        if not all(torch.isfinite(value).all() for value in after.values()):
            put(self.network, before)
            return Outcome(0, self.guard.frozen, loss, "the loss was not finite")
        figure = self.guard.figure(self.network)
        if self.guard.fallen(figure) > most:
            put(self.network, before)
            return Outcome(0, figure, loss, f"{measure} on the guard rows fell by more than {most:g}")
        self.folder.write_point(self.points + 1, self.point, changed_rows(before, after))
        self.points += 1
        self.point = self.points
        return Outcome(self.point, figure, loss)

    def _with_replayed(self, fresh: Rows) -> tuple[list[Any], Tensor]:
        """The rows with others from before: half of them feedback that the network stands on, the rest of its training.

        Feedback that was undone, or that lies behind a point gone back to, is not shown again.
        """
        generator = torch.Generator().manual_seed((self.settings.seed << 32) + self.updates)
        held = self._lately()
        items = [item for rows in held for item in rows.items]
        targets = torch.cat([rows.targets for rows in held]) if held else fresh.targets[:0]
        half = min(self.settings.replay_rows // 2, len(items))
        rest = min(self.settings.replay_rows - half, len(self.replayed))
        again = torch.randperm(len(items), generator=generator)[:half].tolist()
        trained = torch.randperm(len(self.replayed), generator=generator)[:rest].tolist()
        whole = [*fresh.items, *(items[n] for n in again), *(self.replayed.items[n] for n in trained)]
        return whole, torch.cat([fresh.targets, targets[again], self.replayed.targets[trained]])

    def _lately(self) -> list[Rows]:
        """The feedback that the network stands on, as far back as is replayed."""
        found: list[Rows] = []
        for point in reversed(self.way):
            if sum(map(len, found)) >= _REPLAYED_FROM:
                break
            if point in self.rows_of:
                found.append(self.rows_of[point])
        return found[::-1]
