"""One training: splits to a model with its measures; the whole of a run without folds, and each fold of one with."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from attnkit.data.examples import Example
from attnkit.data.split import Splits
from attnkit.model.baselines import run_baselines
from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe
from attnkit.task.base import Task
from attnkit.task.metrics import Measure
from attnkit.train.assemble import assemble, split_source
from attnkit.train.budget import Budget
from attnkit.train.events import Say
from attnkit.train.interrupt import CtrlC
from attnkit.train.joint import Joint
from attnkit.train.loop import Loop, predict_logits
from attnkit.train.parallel.processes import current
from attnkit.train.prepare import Source
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.saved_model import save_model
from attnkit.train.terms.imitation import own_weights


@dataclass
class Results:
    """What a training ends with, before it is written down; `test_logits` is None where no labeled test row stands.

    `judged` are the rows whose predictions a report shows, with their logits: test rows, or validation rows where there
    are none of those; None where folds were pooled.
    """

    task: Task
    sizes: dict[str, int]
    history: list[dict[str, Any]]
    stopped: str
    validation: dict[str, Measure]
    test_logits: Tensor | None = None
    test_targets: Tensor | None = None
    test: dict[str, Measure] = field(default_factory=dict)
    baselines: list[dict[str, Any]] = field(default_factory=list)
    folds: list[dict[str, Any]] = field(default_factory=list)
    judged: tuple[list[Example], Tensor] | None = None
    further: list[dict[str, Any]] = field(default_factory=list)
    earlier_seconds: float = 0.0


def train_once(
    folder: Path,
    recipe: Recipe,
    source: Source,
    say: Say,
    ctrl_c: CtrlC,
    allow_code: bool = False,
    budget: Budget | None = None,
) -> Results | None:
    """Split, train, choose on validation, then read the test split once; None where Ctrl-C came first."""
    splits = split_source(source, recipe)
    for note in splits.notes:
        say("said", sentence=note)
    return train_splits(folder, folder, recipe, splits, source, say, ctrl_c, allow_code, budget=budget)


def train_splits(
    root: Path,
    folder: Path,
    recipe: Recipe,
    splits: Splits,
    source: Source,
    say: Say,
    ctrl_c: CtrlC,
    allow_code: bool = False,
    announce: dict[str, Any] | None = None,
    budget: Budget | None = None,
) -> Results | None:
    """Train on given splits inside `folder`; the recipe, once complete, is saved in `root`."""
    made = assemble(
        root, folder, recipe, splits, source, say, allow_code, quiet=announce is not None and announce["fold"] > 1
    )
    recipe, splits, task, prepare, model = made.recipe, made.splits, made.task, made.prepare, made.model
    train, validation, test, joint = made.train, made.validation, made.test, made.joint
    processes = current()
    baselines: list[dict[str, Any]] = []
    if budget is not None:
        if recipe.evaluate.baselines and splits.test:
            # First, because how long they take is known only afterwards.
            baselines = processes.lead(lambda: measure_baselines(splits, task, say))
        further = [*joint.validation[1:], *joint.test[1:]] if joint else []
        ending = sum(len(part) for part in (validation, test, *further)) / len(validation)
        budget = replace(budget, ending=ending)
    learned, held = made.looped
    loop = Loop(model, learned, prepare, train, held, recipe, folder / "checkpoint.safetensors", say, budget)
    say(
        "start",
        epochs=chosen(recipe.train.epochs),
        steps_an_epoch=loop.steps_an_epoch,
        parameters=sum(parameter.numel() for parameter in own_weights(dict(model.named_parameters())).values()),
        train=len(train),
        validation=len(validation),
        test=len(splits.test),
        **(announce or {}),
    )
    finished = loop.run(ctrl_c)
    weights = own_weights(loop.best)
    tasks = joint.saved(source.schema) if joint else []
    processes.lead(lambda: save_model(folder / "model", weights, recipe.model, prepare, task, source.schema, tasks))
    if not finished:
        return None
    say("stop", reason=loop.at.finished)
    loop.take_best()
    others = measure_further(joint, model, prepare) if joint else []
    model = joint.only(model, 0) if joint else model
    logits = predict_logits(model, prepare, validation.items, processes=processes)
    sizes = {"train": len(train), "validation": len(validation), "test": len(splits.test)}
    results = Results(task, sizes, loop.at.history, loop.at.finished, task.measure(logits, validation.targets))
    results.earlier_seconds = loop.earlier_seconds
    results.judged, results.further = (splits.validation, logits), others
    if splits.test:
        results.test_logits = predict_logits(model, prepare, test.items, processes=processes)
        results.test_targets = test.targets
        results.judged = splits.test, results.test_logits
        results.test = task.measure(results.test_logits, results.test_targets)
    if recipe.evaluate.baselines and splits.test:
        results.baselines = baselines or processes.lead(lambda: measure_baselines(splits, task, say))
    return results


def measure_further(joint: Joint, model: nn.Module, prepare: Preprocessing) -> list[dict[str, Any]]:
    """Measures of each further task on its own rows, as metrics.json holds them."""
    found = []
    for number, one in enumerate(joint.further, 1):
        alone, task = joint.only(model, number), joint.several.tasks[number]
        rows = {"validation": joint.validation[number], "test": joint.test[number]}
        logits = {name: predict_logits(alone, prepare, part.items) for name, part in rows.items() if len(part)}
        measured = {name: task.measure(logits[name], rows[name].targets) for name in logits}
        figures = {name: {n: m.to_dict() for n, m in held.items()} for name, held in measured.items()}
        sizes = {"train": len(one.splits.train), **{name: len(part) for name, part in rows.items()}}
        found.append({"name": one.name, "select": task.select.measure, "sizes": sizes, "test": {}, **figures})
    return found


def measure_baselines(splits: Splits, task: Task, say: Say) -> list[dict[str, Any]]:
    """Baselines trained on train and validation rows together, as they choose nothing, and measured on test rows."""
    say("said", sentence="measuring the baselines on the same rows")
    found = run_baselines([*splits.train, *splits.validation], splits.test, task)
    for one in found:
        if one.said:
            say("said", sentence=one.said)
    return [
        {"name": one.name, "seconds": one.seconds, "measures": {n: m.to_dict() for n, m in one.measures.items()}}
        for one in found
    ]
