"""A worker: takes a setting, tries it, writes down how it went, and takes the next, until nothing is left to do."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attnkit.errors import FailedError, UsageError
from attnkit.run.allocator import keep_freed_memory
from attnkit.run.recipe import Recipe
from attnkit.train.events import Say
from attnkit.train.interrupt import CtrlC
from attnkit.train.overrides import use_threads
from attnkit.train.prepare import Source, read_source
from attnkit.tune.budget import Budget
from attnkit.tune.directory import TRIALS
from attnkit.tune.lease import Absences, Pulse, Worker
from attnkit.tune.library import optuna
from attnkit.tune.objective import Outcome, Stopped, held_out, run_trial
from attnkit.tune.rows import save_rows
from attnkit.tune.search import Search

_WAIT_SECONDS = 0.5
STORAGE_VARIABLE = "ATTNKIT_TUNE_STORAGE"


def read_data(search: Search, data_path: str = "") -> Source:
    """The data of the study, from its own place or from `data_path`.

    Raises: UsageError where it is other data.
    """
    plan = search.plan
    recipe = plan.recipe.with_values({"data.path": data_path or plan.data_path}, allow_code=plan.allow_code)
    source = read_source(recipe, Say())
    if source.sha256 != plan.sha256:
        raise UsageError(
            f"{source.path} is not the data that the study {plan.name!r} was begun on (its hash differs); put that "
            "back, or begin another study"
        )
    return source


class Work:
    """One worker of a search: `run` takes trials until nothing is left, or `ctrl_c` or `budget` says so.

    With `led` it was started by the process that leads, and ends when that does.
    """

    def __init__(
        self,
        search: Search,
        source: Source,
        ctrl_c: CtrlC,
        budget: Budget,
        *,
        number: int = 0,
        wanted: int = 0,
        between: Callable[[], None] | None = None,
        led: bool = False,
    ) -> None:
        self.search, self.source, self.ctrl_c, self.budget = search, source, ctrl_c, budget
        self.number, self.wanted = number, wanted
        self.between = between or (lambda: None)
        self.recipe: Recipe = search.plan.recipe
        self.parts = held_out(source, self.recipe)
        self.me = Worker(search.folder)
        self.absences = Absences(search.folder, search.settings.lease_seconds)
        # Who is led by another process ends with it; who was started from a shell may outlive that.
        self.leader = os.getppid() if led else None

    def run(self) -> None:
        """Work until nothing is left to do.

        Raises: KeyboardInterrupt after Ctrl-C, once the trial under way is written down as stopped.
        """
        keep_freed_memory()
        self.search.aim(self.number)
        with self.me.present(), _folder_of(self.search) as folder:
            while not self._must_stop():
                self.search.clear_lost(self.absences)
                self.between()
                if self.search.room(self.wanted) and not self._too_late():
                    self._one(folder)
                elif self.search.running():
                    # A trial that is lost there may be ours to repeat.
                    time.sleep(_WAIT_SECONDS)
                else:
                    break
                if self.ctrl_c.asked:
                    raise KeyboardInterrupt
        self.between()

    def _must_stop(self) -> str:
        """Why work must stop at once; "" where it need not."""
        if self.leader is not None and os.getppid() != self.leader:
            return "the process that led the study ended"
        if self.budget.until and self.budget.over(self.search.lines()):
            return "the time of the study ended"
        return "the study was ended" if self.search.over() else ""

    def _too_late(self) -> bool:
        return bool(self.budget.until) and self.budget.too_late(self.search.lines())

    def _one(self, folder: Path) -> None:
        search, began = self.search, (time.monotonic(), time.process_time())
        with self._gently():
            trial = search.study.ask(search.distributions)
            trial.set_user_attr("worker", self.me.to_dict())
            if search.surplus(trial.number, self.wanted):
                search.end(trial, "surplus", "another worker began the last trial at the same moment")
                return

        def cost() -> dict[str, float]:
            wall, core = time.monotonic() - began[0], time.process_time() - began[1]
            return {"seconds": round(wall, 3), "core_seconds": round(core, 3)}

        def beat(count: int) -> None:
            trial.set_user_attr("beat", {"count": count, **cost()})

        def must_stop() -> str:
            state = search.storage.get_trial(trial._trial_id).state
            return self._must_stop() or ("others took it for lost" if state.is_finished() else "")

        def end(kind: str, reason: str) -> None:
            with self._gently():
                self._write(trial, "cost", cost())
                search.end(trial, kind, reason)

        try:
            with Pulse(beat, must_stop, search.settings.lease_seconds) as pulse:
                outcome = self._try(trial, folder, lambda: pulse.stop)
        except Stopped as stop:
            end(stop.kind, stop.reason)
        except UsageError as error:
            end("impossible", str(error))
        except FailedError as error:
            end("failed", str(error))
        except KeyboardInterrupt:
            end("stopped", "stopped by Ctrl-C")
            raise
        except Exception as error:  # whatever a setting breaks must not end the study
            end("failed", f"{type(error).__name__}: {error}")
        else:
            with self._gently():
                self._complete(trial, outcome, cost())

    @contextmanager
    def _gently(self) -> Iterator[None]:
        """Ctrl-C within the block is heard after it, so that no trial is left between two states."""
        self.ctrl_c.gentle = True
        try:
            yield
        finally:
            self.ctrl_c.gentle = False

    def _try(self, trial: Any, folder: Path, stop: Callable[[], str]) -> Outcome:
        plan = self.search.plan
        setting = plan.space.decode(trial.params)
        recipe = self.recipe.with_values(setting, allow_code=plan.allow_code)
        default = trial.user_attrs.get("default", False)

        def report(value: float, point: int) -> None:
            trial.report(value, point)
            # What tuning is compared with is always trained to its end.
            if not default and trial.should_prune():
                raise Stopped("pruned", f"no promise at point {point}: {plan.measure} {value:.4f}")

        return run_trial(
            recipe,
            self.source,
            self.parts,
            folder / f"{trial.number:04d}",
            self.ctrl_c,
            higher_is_better=plan.higher_is_better,
            report=report,
            stop=stop,
            allow_code=plan.allow_code,
        )

    def _complete(self, trial: Any, outcome: Outcome, cost: dict[str, float]) -> None:
        if self.search.folder is not None:
            save_rows(rows_path(self.search.folder, trial.number), outcome.rows)
        self._write(trial, "found", outcome.found)
        self._write(trial, "cost", cost)
        try:
            self.search.study.tell(trial, outcome.value)
        except (optuna().exceptions.UpdateFinishedTrialError, ValueError):
            # Others took it for lost and have begun it anew: theirs counts.
            return

    def _write(self, trial: Any, name: str, value: dict[str, Any]) -> None:
        try:
            trial.set_user_attr(name, value)
        except optuna().exceptions.UpdateFinishedTrialError:
            return


def rows_path(folder: Path, number: int) -> Path:
    """Where what trial `number` said of each row is kept."""
    return folder / TRIALS / f"{number:04d}.safetensors"


@contextmanager
def _folder_of(search: Search) -> Any:
    if search.folder is not None:
        yield search.folder / TRIALS
        return
    with tempfile.TemporaryDirectory() as made:
        yield Path(made)


def main(arguments: list[str] | None = None) -> int:
    """One worker as a process of its own; what went wrong goes to stderr, which whoever started it keeps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--data", default="")
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--wanted", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--budget", required=True)
    parser.add_argument("--allow-code", action="store_true")
    given = parser.parse_args(arguments)
    use_threads(given.threads)
    # An address may hold a password, and arguments can be read by everybody on the machine.
    where = os.environ.get(STORAGE_VARIABLE, "")
    try:
        with CtrlC() as ctrl_c:
            search = Search.open(where, given.name, given.folder, allow_code=given.allow_code)
            budget = Budget.from_text(given.budget)
            source = read_data(search, given.data)
            Work(search, source, ctrl_c, budget, number=given.number, wanted=given.wanted, led=True).run()
    except KeyboardInterrupt:
        return 130
    except (UsageError, FailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
