"""The run that is to be made smaller: its network, and the rows by which that is decided."""

import copy
import os
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from attnkit.data.examples import Example
from attnkit.errors import UsageError
from attnkit.model.changes import changes_from_plain
from attnkit.model.changes.base import layers_of
from attnkit.run.directory import Run
from attnkit.run.record import read_record
from attnkit.task.base import Task
from attnkit.train.evaluation import recorded_rows
from attnkit.train.predictor import Predictor, load
from attnkit.train.preprocessing import Ids, Preprocessing
from attnkit.train.start.begin import PARENT


@dataclass(frozen=True)
class Part:
    """Rows of one split, encoded, with their targets."""

    rows: Sequence[Example]
    items: Sequence[Ids]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True)
class Parent:
    """A finished run of one task, and its rows read again."""

    run: Run
    predictor: Predictor

    @classmethod
    def open(cls, path: str | os.PathLike[str] | Run, allow_code: bool = False) -> "Parent":
        """The run at `path`.

        Raises: UsageError where there is none, or it is of folds, of several tasks, or predicts words.
        """
        run = Run.open(path)
        if not run.complete:
            raise UsageError(f"{run.path} is not finished; go on with `attn train --resume` first")
        recipe = run.recipe
        if recipe.evaluate.folds:
            raise UsageError(f"{run.path} is of {recipe.evaluate.folds} folds; train it on one split first")
        if recipe.tasks.also:
            raise UsageError(
                f"{run.path} learned several tasks, and a smaller network is chosen by one; train it alone"
            )
        if recipe.model.language != "none":
            raise UsageError(f"{run.path} predicts words; train a task from it (--from), and shrink that run")
        predictor = load(run, allow_code=allow_code)
        try:
            layers_of(predictor.network)
        except ValueError as error:
            raise UsageError(f"{run.path} cannot be shrunk: {error}") from None
        return cls(run, predictor)

    def refuse_behind(self, stage: int, what: str) -> None:
        """Hold the run to having gone through no change that `what`, a change of this `stage`, comes before.

        Raises: UsageError naming that change, and the run to go back to.
        """
        later = [one for one in changes_from_plain(self.run.recipe.model.changes) if one.stage > stage]
        if later:
            known = (self.run.path / PARENT).is_file()
            before = f" ({read_record(self.run.path / PARENT)['path']})" if known else ""
            raise UsageError(
                f"{self.run.path} has gone through {later[0].kind} already, before which {what} comes; shrink the run "
                f"that it was made from{before} first, and hold the child so then"
            )

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.predictor.task

    @property
    def prepare(self) -> Preprocessing:
        """What turns texts into ids."""
        return self.predictor.preprocessing

    def network(self) -> nn.Module:
        """A copy of the network, in evaluation mode, which may be edited."""
        return copy.deepcopy(self.predictor.network).eval()

    def part(self, split: str, most: int | None = None) -> Part:
        """The rows of "train", "validation" or "test", or `most` of them at equal distances.

        Raises: UsageError where the data changed or is gone.
        """
        rows, _ = recorded_rows(self.run, split=split)
        if most is not None and len(rows) > most:
            rows = [rows[place * len(rows) // most] for place in range(most)]
        items = self.prepare.encode([row.text for row in rows], [row.pair for row in rows])
        return Part(rows, items, self.task.targets(rows))
