"""learn(run, feedback): small guarded updates from labeled feedback, each of which can be undone."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

from attnkit.adapt.feedback import Feedback, read_feedback
from attnkit.adapt.learner import Learner
from attnkit.adapt.prequential import Prequential
from attnkit.adapt.record import LearnerFolder
from attnkit.adapt.save import save_run
from attnkit.adapt.settings import LearnSettings
from attnkit.data.schema import Schema
from attnkit.errors import UsageError
from attnkit.run.directory import PARTIAL, Run
from attnkit.run.lock import locked
from attnkit.train.events import Listener, Say


@dataclass(frozen=True)
class Learned:
    """Where a learner stands: its point, how many there are, the guard's figures, and those of this call's rows."""

    folder: Path
    point: int
    points: int
    rows: int
    undone: int
    guard: dict[str, Any]
    prequential: dict[str, Any]
    saved: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {**vars(self), "folder": str(self.folder), "saved": self.saved and str(self.saved)}


def learner_at(
    run: str | os.PathLike[str] | Run,
    folder: Path | None = None,
    settings: dict[str, Any] | None = None,
    *,
    allow_code: bool = False,
) -> Learner:
    """The learner that stands in `folder` (RUN-learned where left out), or a new one; `settings` are those given.

    Raises: UsageError where the folder belongs to another run or was begun with other settings.
    """
    opened = Run.open(run)
    place = folder or opened.path.with_name(f"{opened.path.name}-learned")
    given = settings or {}
    begun = LearnerFolder.settings_of(place)
    wanted = LearnSettings(**{**(begun or {}), **given}) if begun else replace(LearnSettings(), **given)
    return Learner(opened, place, wanted, allow_code=allow_code)


def learn(
    run: str | os.PathLike[str] | Run,
    feedback: str | os.PathLike[str] | None = None,
    *,
    out: Path | None = None,
    back: int | None = None,
    save: Path | None = None,
    settings: dict[str, Any] | None = None,
    allow_code: bool = False,
    progress: Listener | None = None,
) -> Learned:
    """Learn from the rows of `feedback` that were not read before, beginning at point `back` where that is given.

    Whole updates alone are made; rows that do not fill one wait for the next call. The point that is reached becomes
    the run `save` where one is named.

    Raises: UsageError where the feedback cannot be read, or does not begin with the rows that were read before.
    """
    say, opened = Say(progress), Run.open(run)
    if save is not None and (save.exists() or save.with_name(save.name + PARTIAL).exists()):
        raise UsageError(f"{save} already exists; choose another name with --save, or delete it")
    schema = Schema.from_dict(opened.data["schema"])
    rows = read_feedback(feedback, schema, name_of(opened)) if feedback is not None else None
    if rows is None and back is None and save is None:
        raise UsageError("there is nothing to do; give feedback to learn from, --back POINT or --save RUN")
    learner = learner_at(opened, out, settings, allow_code=allow_code)
    with locked(learner.folder.path):
        if back is not None:
            learner.back_to(back)
        seen, undone, read = Prequential(learner.task), 0, learner.rows_read
        if rows is not None:
            if read and (len(rows.rows) < read or rows.digests[read] != learner.digest):
                refuse_other_feedback(learner, Path(str(feedback)))
            learner.recall(rows.rows[:read])
            undone = _learn_rows(rows, learner, seen, say)
    saved = save_run(learner, opened, save, allow_code=allow_code).path if save is not None else None
    measure = learner.task.select.measure
    guard = {"measure": measure, "frozen": learner.guard.frozen, "learned": learner.guard.figure(learner.network)}
    count = learner.rows_read - read
    return Learned(learner.folder.path, learner.point, learner.points, count, undone, guard, seen.figures(), saved)


def _learn_rows(found: Feedback, learner: Learner, seen: Prequential, say: Say) -> int:
    undone, size = 0, learner.settings.update_rows
    while len(rows := found.rows[learner.rows_read : learner.rows_read + size]) == size:
        outcome = learner.learn(rows, seen, found.digests[learner.rows_read + size])
        undone += not outcome.point
        what = f"point {outcome.point}" if outcome.point else f"undone: {outcome.reason}"
        say("said", sentence=f"rows {learner.rows_read - size + 1} to {learner.rows_read}: {what}")
    return undone


def name_of(run: Run) -> str:
    """What a service calls the model of a run, and notes in its feedback."""
    return run.path.absolute().name.removesuffix(PARTIAL)


def refuse_other_feedback(learner: Learner, path: Path) -> NoReturn:
    """Say that a file does not begin with the feedback that was read before.

    Raises: UsageError, always.
    """
    raise UsageError(
        f"{learner.folder.path} has read {learner.rows_read} rows of feedback, and {path} does not begin with them; "
        "give the file that has grown since, or name another folder with --out"
    )
