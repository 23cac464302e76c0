"""LiveLearner: a run that learns while it is served, from the file that the service appends feedback to."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

from attnkit.adapt.feedback import read_feedback
from attnkit.adapt.learn import hold_to, learner_at
from attnkit.adapt.prequential import Prequential
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.lock import locked
from attnkit.train.predictor import Predictor


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
        self.feedback = feedback
        self.learner = learner_at(Run.open(run), folder, settings, allow_code=allow_code)
        self.seen = Prequential(self.learner.task)
        self._held = ExitStack()
        self._held.enter_context(locked(self.learner.folder.path))
        self._recalled = False

    @property
    def predictor(self) -> Predictor:
        """The model as it has learned so far."""
        return self.learner.predictor

    def catch_up(self) -> bool:
        """Make one update where enough rows wait for it; True where more rows do.

        Raises: UsageError where the file does not begin with the rows that were read.
        """
        try:
            found = read_feedback(self.feedback, self.predictor.schema)
        except UsageError:
            if self.learner.rows_read:
                raise
            # Nobody has said anything yet.
            return False
        read, size = self.learner.rows_read, self.learner.settings.update_rows
        if not self._recalled:
            hold_to(found, self.learner, self.feedback)
            self.learner.recall(found.rows[:read])
            self._recalled = True
        rows = found.rows[read : read + size]
        if len(rows) < size:
            return False
        self.learner.learn(rows, self.seen, found.digests[read + size])
        return len(found.rows) >= read + 2 * size

    def told(self) -> dict[str, Any]:
        """Where it stands: point, points, rows read, and prequential figures since this process began."""
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
