"""The one process that leads a study: it repeats what was lost, says what happens, and writes the end."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.errors import FailedError
from attnkit.run.directory import PARTIAL
from attnkit.train.events import Event, Say
from attnkit.train.interrupt import CtrlC, Interrupted
from attnkit.train.prepare import Source
from attnkit.train.training import train
from attnkit.tune.account import counted
from attnkit.tune.asked import Asked
from attnkit.tune.budget import Budget
from attnkit.tune.directory import FINAL, Study
from attnkit.tune.finish import best_recipe, write_account, write_end
from attnkit.tune.lease import Absences
from attnkit.tune.party import Party
from attnkit.tune.search import Search
from attnkit.tune.watching import Watch

_LOOK_SECONDS = 0.3


@dataclass
class Leader:
    """The one process that leads a study: it repeats what was lost, says what happens, and writes the end."""

    search: Search
    source: Source
    where: str
    asked: Asked
    say: Say
    ctrl_c: CtrlC
    final: bool
    began: float
    workers: int
    threads: int | None
    allow_code: bool

    def lead(self, study: Study) -> Study:
        """Search to the end, train the best setting, write what was found, and give the finished study.

        Raises: FailedError where no trial could be measured; Interrupted after Ctrl-C, once all is written down.
        """
        search, folder = self.search, study.path
        settings, wanted = self.asked.recipe.tune, search.target(self.asked.wanted)
        until = self.began + 60 * settings.tune_minutes if settings.tune_minutes else 0.0
        trainings = max(1, search.settings.tune_folds) * search.settings.tune_seeds
        budget = Budget(until, trainings, self.final, search.plan.higher_is_better)
        path = str(self.source.path.absolute())
        crew = Party(search, self.source, self.where, path, self.workers, self.threads, budget, wanted, self.allow_code)
        watch = Watch(search, self.say, wanted)

        def between() -> None:
            search.repeat("lost")
            watch()

        self.say("search", workers=self.workers, wanted=wanted, fields=list(search.plan.space.axes))
        try:
            search.go_on()
            if not self._ending(folder, wanted):
                # Those of this call that are stopped wait for the next.
                search.clear_lost(Absences(search.folder, search.settings.lease_seconds))
                search.repeat("lost", "stopped")
                crew.work(self.ctrl_c, between)
            self._close()
            watch()
            board = write_account(search, self.source.task, folder)
            if board.best is None:
                raise FailedError(_nothing(board.record["others"], folder))
            run = None
            if self.final:
                self.say("said", sentence="the best setting is trained, and measured on the test rows once")
                best = best_recipe(search, board)
                run = train(
                    recipe=best,
                    out=folder / FINAL,
                    resume=True,
                    progress=self._hear,
                    allow_code=self.allow_code,
                )
        except KeyboardInterrupt:
            write_account(search, self.source.task, folder)
            raise _interrupted(study) from None
        except Interrupted:
            raise _interrupted(study) from None
        write_end(search, board, folder, run, {"seconds": round(time.time() - self.began, 1), "workers": self.workers})
        done = study.finish()
        self.say("done", path=str(done.path), seconds=round(time.time() - self.began, 1))
        return done

    def _ending(self, folder: Path, wanted: int) -> bool:
        """True where the best setting was being trained already, and no more trials are asked for than there were."""
        begun = [place for place in (folder / f"{FINAL}{PARTIAL}", folder / FINAL) if place.exists()]
        if not begun or (wanted and len(counted(self.search.lines())) < wanted):
            for place in begun:
                # Another setting may become the best.
                shutil.rmtree(place)
            return False
        return True

    def _hear(self, event: Event) -> None:
        """Pass on what the last training says, but for what was said of the data before."""
        known = event.kind == "said" and event.values["sentence"] in self.say.sentences
        if self.say.listener is not None and not known:
            self.say.listener(event)

    def _close(self) -> None:
        """End the search for everybody: workers elsewhere stop by themselves, and are waited for as long as a lease."""
        search = self.search
        search.say_over()
        absences = Absences(search.folder, search.settings.lease_seconds)
        deadline = time.monotonic() + search.settings.lease_seconds
        while search.running() and time.monotonic() < deadline:
            if not search.clear_lost(absences):
                time.sleep(_LOOK_SECONDS)
        for trial in search.running():
            search.end(trial, "lost", "its worker still ran when the study was closed, and gave no answer")


def _interrupted(study: Study) -> Interrupted:
    final = study.path.with_name(study.name)
    return Interrupted(
        f"stopped by Ctrl-C; what there is stands in {study.path}; go on with --resume --out {final}", str(study.path)
    )


def _nothing(others: Sequence[dict[str, Any]], folder: Path) -> str:
    reasons = [f"trial {line['number']}: {line['reason']}" for line in others if line["reason"]]
    first = f", the first by {reasons[0]}" if reasons else ""
    return f"no setting could be measured ({len(others)} trials ended without a figure{first}); {folder} holds them all"
