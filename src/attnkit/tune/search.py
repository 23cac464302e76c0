"""The search itself: trials in a storage that several processes share, and what is done with them."""

import hashlib
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.sections_tune import TuneSettings
from attnkit.tune.account import TrialLine, account, counted, to_repeat
from attnkit.tune.lease import Absences
from attnkit.tune.library import optuna
from attnkit.tune.plan import FEW_TRIALS, Plan
from attnkit.tune.storage import open_storage, without_password

_PLAN, _OVER = "plan", "over"
_MOST_STARTUP, _FEWEST_STARTUP = 10, 4
_UNPRUNED = 4
_REDUCTION = 3


class Search:
    """A study of Optuna with our plan in it; `folder` is the study directory, None on a machine that lacks it."""

    def __init__(self, storage: Any, plan: Plan, folder: Path | None) -> None:
        self.storage, self.plan, self.folder = storage, plan, folder
        self.settings: TuneSettings = plan.recipe.tune
        self.study = optuna().load_study(study_name=plan.name, storage=storage)
        self.distributions = plan.space.distributions()

    @classmethod
    def begin(cls, plan: Plan, where: str, folder: Path) -> "Search":
        """A new study in the storage at `where`.

        Raises: UsageError where the storage holds one of that name already.
        """
        library, storage = optuna(), open_storage(where, folder)
        direction = "maximize" if plan.higher_is_better else "minimize"
        try:
            study = library.create_study(storage=storage, study_name=plan.name, direction=direction)
        except library.exceptions.DuplicatedStudyError:
            raise UsageError(
                f"{without_password(where)} holds a study {plan.name!r} already; go on with --resume or --join, or "
                "choose another --out"
            ) from None
        study.set_user_attr(_PLAN, plan.to_dict())
        return cls(storage, plan, folder)

    @classmethod
    def open(cls, where: str, name: str, folder: Path | None, *, allow_code: bool = False) -> "Search":
        """The study `name` in the storage at `where`; its recipe's own code is imported only with `allow_code`.

        Raises: UsageError where there is none.
        """
        storage = open_storage(where, folder)
        known = {study.study_name: study for study in storage.get_all_studies()}
        if name not in known or _PLAN not in known[name].user_attrs:
            there = f"it holds {', '.join(known)}" if known else "it holds none"
            place = without_password(where) or folder
            raise UsageError(f"there is no study {name!r} in {place} ({there}); check --join and --storage")
        plan = Plan.from_dict(known[name].user_attrs[_PLAN], f"the study {name!r}", allow_code=allow_code)
        return cls(storage, plan, folder)

    def plant(self, default: dict[str, Any] | None, first: int) -> None:
        """Put in what must be tried first: the setting without tuning, and with a grid its points, `first` at most."""
        grid = self.plan.space.grid() if self.settings.sampler == "grid" else []
        if grid:
            # A grid that is cut short should be cut at random, the same way on each call.
            grid.sort(key=lambda point: hashlib.sha256(repr((self.settings.sampler_seed, point)).encode()).digest())
            grid = [point for point in grid if point != default]
        if default is not None:
            self.study.enqueue_trial(default, user_attrs={"default": True})
        for point in grid[: first - (default is not None)] if first else grid:
            self.study.enqueue_trial(point)

    def lines(self) -> list[TrialLine]:
        """The account of all trials so far."""
        return account(self.study.get_trials(deepcopy=False), self.plan.space)

    def target(self, wanted: int) -> int:
        """How many trials there will be where `wanted` are (0: as many as the time allows): a grid has its points."""
        return len(counted(self.lines())) if self.settings.sampler == "grid" else wanted

    def room(self, wanted: int) -> bool:
        """True where another trial may be begun: one waits, or fewer than `wanted` (0: no limit) count."""
        lines = self.lines()
        if any(line.state == "waiting" for line in lines):
            return True
        return self.settings.sampler != "grid" and (not wanted or len(counted(lines)) < wanted)

    def surplus(self, number: int, wanted: int) -> bool:
        """True where trial `number`, begun at the same time as others, is one more than `wanted` (0: no limit)."""
        lines = counted(self.lines())
        before = sum(line.number < number for line in lines)
        mine = next(line for line in lines if line.number == number)
        return bool(wanted) and mine.again_of is None and before >= wanted

    def running(self) -> list[Any]:
        """The trials that somebody works on."""
        states = (optuna().trial.TrialState.RUNNING,)
        return list(self.study.get_trials(deepcopy=False, states=states))

    def clear_lost(self, absences: Absences, told: dict[int, str] | None = None, mine: int | None = None) -> int:
        """Mark the running trials whose worker is gone, and give their number; `told` knows more by process id."""
        cleared = 0
        for trial in self.running():
            if trial.number == mine:
                continue
            reason = absences.reason(trial)
            if reason:
                worker = trial.user_attrs.get("worker", {})
                self.end(trial, "lost", (told or {}).get(worker.get("pid", -1), reason))
                cleared += 1
        return cleared

    def repeat(self, *states: str) -> None:
        """Put in again what was lost or stopped, as often as the recipe allows; for the one who leads the study."""
        by_number = {trial.number: trial for trial in self.study.get_trials(deepcopy=False)}
        for line in to_repeat(self.lines(), self.settings.retries, states):
            drawn = self.plan.space.encode(line.setting)
            told = {"again_of": line.number, "default": by_number[line.number].user_attrs.get("default", False)}
            self.study.enqueue_trial(drawn, user_attrs=told)

    def end(self, trial: Any, kind: str, reason: str) -> bool:
        """End a trial without a figure; False where somebody else did so before."""
        library = optuna()
        try:
            self.storage.set_trial_user_attr(trial._trial_id, "ended", {"kind": kind, "reason": reason})
            state = library.trial.TrialState.PRUNED if kind == "pruned" else library.trial.TrialState.FAIL
            self.study.tell(trial.number, state=state)
        except (library.exceptions.UpdateFinishedTrialError, ValueError):
            return False
        return True

    def say_over(self) -> None:
        """Tell all workers that no trial is to be begun, and those under way are to stop."""
        self.study.set_user_attr(_OVER, True)

    def go_on(self) -> None:
        """Take back that the search is over."""
        self.study.set_user_attr(_OVER, False)

    def over(self) -> bool:
        """True once the search is over."""
        return bool(self.study.user_attrs.get(_OVER))

    def aim(self, worker: int = 0) -> None:
        """Set what chooses settings and what stops them early, for worker number `worker` of this machine."""
        library, settings = optuna(), self.settings
        tried = len(self.study.get_trials(deepcopy=False))
        # The state of a sampler is not kept: one that goes on must not draw again what it drew.
        seed = int.from_bytes(hashlib.sha256(repr((settings.sampler_seed, tried, worker)).encode()).digest()[:4], "big")
        samplers, pruners = library.samplers, library.pruners
        # A third of the settings are drawn at random before anything is concluded from them.
        startup = min(_MOST_STARTUP, max(_FEWEST_STARTUP, (settings.trials or FEW_TRIALS) // 3))
        match settings.sampler:
            case "bayesian":
                self.study.sampler = samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=True)
            case "gp":
                self.study.sampler = samplers.GPSampler(seed=seed, n_startup_trials=startup)
            case _:
                self.study.sampler = samplers.RandomSampler(seed=seed)
        match settings.pruner:
            case "median":
                # One evaluation says little of where a training ends; one fold says more.
                alone = settings.tune_folds * settings.tune_seeds <= 1
                warmup = 2 if alone else 1
                self.study.pruner = pruners.MedianPruner(n_startup_trials=_UNPRUNED, n_warmup_steps=warmup)
            case "halving":
                self.study.pruner = pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=_REDUCTION)
            case _:
                self.study.pruner = pruners.NopPruner()
