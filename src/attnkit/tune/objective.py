"""One trial: a setting is trained on training rows and measured on rows held out of them; test rows stay unread."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from attnkit.data.examples import Example
from attnkit.data.split import Splits, folds
from attnkit.run.recipe import Recipe
from attnkit.train.assemble import labeled_only, split_source
from attnkit.train.cross_validation import fold_splits
from attnkit.train.events import Event, Say
from attnkit.train.interrupt import CtrlC
from attnkit.train.prepare import Source
from attnkit.train.single import Results, train_splits
from attnkit.tune.rows import Rows, in_units

# What a trial must not do, or need not: measure beside itself, watch, cut anew.
_TRIAL = {"evaluate.folds": 0, "evaluate.baselines": False, "train.watch_rows": 0}


class Stopped(Exception):
    """Ends a trial from within: `kind` is "pruned", or how the account calls it."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind, self.reason = kind, reason


@dataclass(frozen=True)
class Outcome:
    """The figure of a setting, what was said of each row, and some facts."""

    value: float
    rows: Rows
    found: dict[str, Any]


def held_out(source: Source, recipe: Recipe, say: Say | None = None) -> list[Splits]:
    """The splits that trials train and are measured on, with the measured rows as their test: one, or one a fold.

    Without folds these are the validation rows, which choose the epoch as well. With folds, all rows but the test rows
    are cut; each fold chooses its epoch on rows of its own training part. The true test rows are in none of them.

    Raises: UsageError where the rows are too few.
    """
    say = say or Say()
    splits = split_source(source, recipe)
    for note in splits.notes:
        say("said", sentence=note)
    splits = labeled_only(Splits(splits.train, splits.validation, []), say)
    if not recipe.tune.tune_folds:
        return [Splits(splits.train, splits.validation, splits.validation)]
    pool: list[Example] = [*splits.train, *splits.validation]
    data = recipe.data
    cut = folds(pool, recipe.tune.tune_folds, data.split_seed)
    return [fold_splits(rest, held, data.validation, data.split_seed) for rest, held in cut]


def run_trial(
    recipe: Recipe,
    source: Source,
    parts: list[Splits],
    folder: Path,
    ctrl_c: CtrlC,
    *,
    higher_is_better: bool,
    report: Callable[[float, int], None],
    stop: Callable[[], str],
    allow_code: bool = False,
) -> Outcome:
    """Train `recipe` once for each of `parts` and seed, inside `folder`, which is removed at the end.

    `report` hears the figure so far and its point: with a single training after each evaluation (the best so far), else
    after each training (the mean so far); it may raise Stopped. `stop` is asked after each step and gives a reason.

    Raises: Stopped where it was stopped; UsageError where the setting is impossible; FailedError where training fails.
    """
    seeds = range(recipe.train.seed, recipe.train.seed + recipe.tune.tune_seeds)
    alone = len(parts) * len(seeds) == 1
    heard = _Listener(higher_is_better, report if alone else None, stop)
    made: list[list[Results]] = []
    task = source.task
    try:
        for seed in seeds:
            made.append([])
            for splits in parts:
                one = recipe.with_values({**_TRIAL, "train.seed": seed}, allow_code=allow_code)
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                with torch.random.fork_rng(devices=[]):
                    results = train_splits(folder, folder, one, splits, source, Say(heard), ctrl_c, allow_code)
                if results is None:
                    raise Stopped("stopped", "stopped by Ctrl-C")
                made[-1].append(results)
                done = [result for results in made for result in results]
                if not alone:
                    values = [_value(result) for result in done]
                    report(sum(values) / len(values), len(done))
    finally:
        # An exception from within the loop leaves it in the state in which Ctrl-C is only a wish.
        ctrl_c.gentle = False
        shutil.rmtree(folder, ignore_errors=True)
    rows = Rows(
        torch.stack([torch.cat([in_units(r.task, r.test_logits) for r in one]) for one in made]),  # type: ignore[arg-type]
        torch.cat([in_units(r.task, r.test_targets) for r in made[0]]),  # type: ignore[arg-type]
    )
    return Outcome(rows.figure(task), rows, {"parameters": heard.parameters, "epochs": heard.epochs / len(done)})


def _value(result: Results) -> float:
    assert result.test_logits is not None and result.test_targets is not None
    return result.task.selection_value(result.test_logits, result.test_targets)


class _Listener:
    """Hears one training after another: reports, stops, and remembers what is worth keeping."""

    def __init__(
        self, higher_is_better: bool, report: Callable[[float, int], None] | None, stop: Callable[[], str]
    ) -> None:
        self.higher, self.report, self.stop = higher_is_better, report, stop
        self.best: float | None = None
        self.point = 0
        self.parameters: int | None = None
        self.epochs = 0.0
        self._epoch = 0

    def __call__(self, event: Event) -> None:
        if event.kind == "start":
            self.parameters = event.values["parameters"]
        elif event.kind == "step":
            self._epoch = event.values["epoch"]
            if reason := self.stop():
                raise Stopped("stopped", reason)
        elif event.kind == "stop":
            self.epochs += self._epoch
        elif event.kind == "evaluation" and self.report is not None:
            value = event.values["value"]
            if self.best is None or (value > self.best if self.higher else value < self.best):
                self.best = value
            self.point += 1
            self.report(self.best, self.point)
