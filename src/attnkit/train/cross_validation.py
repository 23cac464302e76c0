"""K folds: each row is tested once, by a model that never saw it."""

import shutil
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from attnkit.data.examples import Example, to_examples
from attnkit.data.split import Splits, folds, hold_out
from attnkit.data.table import joined
from attnkit.run.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from attnkit.run.recipe import Recipe
from attnkit.task.base import Task
from attnkit.task.choose import task_from_dict
from attnkit.task.score import Score
from attnkit.train.budget import Budget
from attnkit.train.events import Say
from attnkit.train.interrupt import CtrlC
from attnkit.train.parallel.processes import current
from attnkit.train.prepare import Source
from attnkit.train.shares import refuse_fewer
from attnkit.train.single import Results, train_splits


def cross_validate(
    folder: Path,
    recipe: Recipe,
    source: Source,
    say: Say,
    ctrl_c: CtrlC,
    allow_code: bool = False,
    budget: Budget | None = None,
) -> Results | None:
    """Train one model a fold and pool what they say of their held-out rows; None where Ctrl-C came first.

    Each fold takes its validation rows from its own training rows. The choices of the first fold hold for all, and its
    model is the one the run keeps. Each fold has an equal part of what is left of a `budget`.

    Raises: UsageError where the number of folds does not fit the rows, or the recipe wants fewer of them.
    """
    k = recipe.evaluate.folds
    refuse_fewer(recipe)
    rows = to_examples(joined("all", list(source.tables.values())), source.schema, recipe.data.validation_order)
    labeled = [row for row in rows if row.label is not None and row.text.strip()]
    if len(labeled) < len(rows):
        say("said", sentence=f"{len(rows) - len(labeled):,} rows without a label or a text are left out")
    if len(source.tables) > 1:
        say("said", sentence=f"the splits of the data are joined, and cut into {k} folds")
    processes = current()
    done: list[Checkpoint] = []
    earlier_seconds = 0.0
    for number, (rest, held) in enumerate(folds(labeled, k, recipe.data.split_seed), 1):
        place = folder if number == 1 else folder / "folds" / f"{number:02d}"
        kept = folder / "folds" / f"{number:02d}.safetensors"
        if processes.lead(kept.exists):
            seconds = load_checkpoint(kept).facts["seconds"]
            earlier_seconds += seconds
            budget = replace(budget, spent=budget.spent + seconds) if budget is not None else None
        else:
            started = time.monotonic()
            place.mkdir(parents=True, exist_ok=True)
            kept.parent.mkdir(exist_ok=True)
            splits = fold_splits(rest, held, recipe.data.validation, recipe.data.split_seed)
            announce = {"fold": number, "folds": k}
            part = budget.part(k - number + 1) if budget is not None else None
            results = train_splits(folder, place, recipe, splits, source, say, ctrl_c, allow_code, announce, part)
            if results is None:
                return None
            earlier_seconds += results.earlier_seconds
            seconds = results.earlier_seconds + time.monotonic() - started
            processes.lead(partial(_keep, kept, results, seconds))
        if number > 1:
            processes.lead(partial(shutil.rmtree, place, ignore_errors=True))
        done.append(load_checkpoint(kept))
    say("said", sentence=f"the run keeps the model of fold 1 of {k}; the figures pool all folds")
    return _pooled(done, source.task, earlier_seconds)


def fold_splits(rest: list[Example], held: list[Example], validation: float, seed: int) -> Splits:
    """The splits of a fold: `held` is its test, and about the share `validation` of `rest` its validation."""
    train, chosen = hold_out(rest, max(1, round(validation * len(rest))), seed)
    return Splits(train, chosen, held)


def _keep(path: Path, results: Results, seconds: float) -> None:
    assert results.test_logits is not None and results.test_targets is not None
    facts = {
        "task": results.task.to_dict(),
        "sizes": results.sizes,
        "history": results.history,
        "stopped": results.stopped,
        "test": {name: measure.to_dict() for name, measure in results.test.items()},
        "baselines": results.baselines,
        "seconds": seconds,
    }
    save_checkpoint(path, {"test": {"logits": results.test_logits, "targets": results.test_targets}}, facts)


def _pooled(done: list[Checkpoint], task: Task, earlier_seconds: float) -> Results:
    logits = torch.cat([_in_units(one, "logits") for one in done])
    targets = torch.cat([_in_units(one, "targets") for one in done])
    first = done[0].facts
    return Results(
        task=task,
        sizes={**first["sizes"], "test": len(targets)},
        history=first["history"],
        stopped=first["stopped"],
        validation={},
        test_logits=logits,
        test_targets=targets,
        test=task.measure(logits, targets),
        baselines=_mean_baselines([one.facts["baselines"] for one in done]),
        earlier_seconds=earlier_seconds,
        folds=[{"fold": n, "stopped": c.facts["stopped"], "measures": c.facts["test"]} for n, c in enumerate(done, 1)],
    )


def _in_units(one: Checkpoint, name: str) -> torch.Tensor:
    # Each fold standardizes scores by its own training rows; pooled figures need one unit.
    task = task_from_dict(one.facts["task"])
    values = one.groups["test"][name]
    return values * task.deviation + task.mean if isinstance(task, Score) else values


def _mean_baselines(folds_of: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The mean over folds of each baseline's figures; its n is the rows of all folds, and it has no interval."""
    table = []
    for lines in zip(*folds_of, strict=True):
        names = set.intersection(*(set(line["measures"]) for line in lines))
        measures = {}
        for name in [name for name in lines[0]["measures"] if name in names]:
            each = [line["measures"][name] for line in lines]
            value = sum(one["value"] for one in each) / len(each)
            measures[name] = {
                "name": name,
                "value": value,
                "low": min(one["value"] for one in each),
                "high": max(one["value"] for one in each),
                "n": sum(one["n"] for one in each),
                "protocol": f"mean over {len(each)} folds; low and high are the worst and the best fold",
            }
        table.append({"name": lines[0]["name"], "seconds": sum(x["seconds"] for x in lines), "measures": measures})
    return table
