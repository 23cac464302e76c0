"""LiveLearner: a run that learns while it is served, from the file that the service appends feedback to."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from attnkit.adapt.feedback import FeedbackTail, next_digest
from attnkit.adapt.learn import learner_at, name_of, refuse_other_feedback
from attnkit.adapt.prequential import Prequential
from attnkit.data.examples import Example
from attnkit.run.directory import Run
from attnkit.run.lock import locked
from attnkit.train.predictor import Predictor

# Figures are over the latest rows: they are counted anew at each update, while texts wait.
_COUNTED_ROWS = 2000


class LiveLearner:
    """`predictor` answers as of the last point; `catch_up` learns from the rows of the file that were not read yet.

    The file alone drives it: what a crash or a full queue kept from being learned is learned later. Both are called
    from one thread.

    Raises: UsageError where the learner's folder or the feedback do not fit the run, or another process learns there.
    """

    def __init__(
        self,
        run: Path,
        folder: Path,
        feedback: Path,
        settings: dict[str, Any] | None = None,
        *,
        allow_code: bool = False,
    ) -> None:
        opened = Run.open(run)
        self.learner = learner_at(opened, folder, settings, allow_code=allow_code)
        self.seen = Prequential(self.learner.task)
        self._held = ExitStack()
        self._held.enter_context(locked(self.learner.folder.path))
        try:
            self._tail = FeedbackTail(feedback, self.learner.predictor.schema, name_of(opened))
            self._digest = ""
            self._waiting = self._recalled()
        except BaseException:
            self.close()
            raise

    @property
    def predictor(self) -> Predictor:
        """The model as it has learned so far."""
        return self.learner.predictor

    def catch_up(self) -> bool:
        """Make one update where enough rows wait for it; True where more rows do.

        Raises: UsageError at a line that is no feedback on this model.
        """
        size = self.learner.settings.update_rows
        while len(self._waiting) < 2 * size and (found := self._tail.read()):
            self._waiting += found
        if len(self._waiting) < size:
            return False
        rows, self._waiting = self._waiting[:size], self._waiting[size:]
        for row in rows:
            self._digest = next_digest(self._digest, row)
        self.learner.learn(rows, self.seen, self._digest)
        self.seen.forget(_COUNTED_ROWS)
        return len(self._waiting) >= size

    def told(self) -> dict[str, Any]:
        """Where it stands: point, points, rows read, and prequential figures over the latest rows of this process."""
        learner = self.learner
        return {
            "point": learner.point,
            "points": learner.points,
            "rows": learner.rows_read,
            "update_rows": learner.settings.update_rows,
            "prequential": self.seen.figures(),
        }

    def close(self) -> None:
        """Let another process learn here."""
        self._held.close()

    def _recalled(self) -> list[Example]:
        """The rows that wait behind those that were read before this process began."""
        read, rows = self.learner.rows_read, list[Example]()
        while len(rows) < read and (found := self._tail.read()):
            rows += found
        for row in rows[:read]:
            self._digest = next_digest(self._digest, row)
        if len(rows) < read or (read and self._digest != self.learner.digest):
            refuse_other_feedback(self.learner, self._tail.path)
        self.learner.recall(rows[:read])
        return rows[read:]
