"""One training: splits to a model with its measures; the whole of a run without folds, and each fold of one with."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnkit.data.examples import Example
from attnkit.data.split import Splits, make_splits, split_ids
from attnkit.errors import UsageError
from attnkit.model.baselines import run_baselines
from attnkit.model.build import build_model
from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe, load_recipe, save_recipe
from attnkit.run.record import write_record
from attnkit.task.base import Task
from attnkit.task.metrics import Measure
from attnkit.train.budget import Budget
from attnkit.train.events import Say
from attnkit.train.interrupt import CtrlC
from attnkit.train.loop import Loop, predict_logits
from attnkit.train.prepare import Source, check_cut
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.saved_model import save_model
from attnkit.train.settle import settle
from attnkit.train.start import begin
from attnkit.train.shares import rows_wanted
from attnkit.train.update import Rows


@dataclass
class Results:
    """What a training ends with, before it is written down; `test_logits` is None where no labeled test row stands."""

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
    splits = make_splits(
        dict(source.tables),
        source.schema,
        recipe.data.validation,
        recipe.data.test,
        recipe.data.split_seed,
        recipe.data.validation_order,
    )
    for note in splits.notes:
        say("said", sentence=note)
    return train_splits(
        folder, folder, recipe, rows_wanted(splits, recipe), source, say, ctrl_c, allow_code, budget=budget
    )


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
    splits = labeled_only(splits, say)
    task = source.task.fitted(splits.train)
    # Before the recipe: a run that has one goes on, and is then held to the data it was begun with.
    if not all((root / name).exists() for name in ("recipe.toml", "data.json")):
        write_record(root / "data.json", data_record(source, splits))
    recipe, prepare = _preprocess(root, folder, recipe, splits.train, say, allow_code)
    torch.manual_seed(recipe.train.seed)
    try:
        model = build_model(recipe.model, prepare.tokenizer.size, task.outputs, allow_code=allow_code)
        if recipe.train.batches == "packed" and (reason := model.refuses_packing()):
            raise ValueError(f'the texts cannot be packed: {reason}; set train.batches = "sorted"')
        parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
        rows = {name: _rows(part, prepare, task) for name, part in parts.items()}
        train, validation, test = rows.values()
        # An operator may refuse what only the data shows, such as texts longer than it was built for.
        predict_logits(model, prepare, [max(train.items, key=len)])
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not (folder / "checkpoint.safetensors").exists():
        begin(model, recipe, prepare.tokenizer, task, root, say, allow_code)
    if announce is None or announce["fold"] == 1:
        check_cut(parts, prepare, {name: held.items for name, held in rows.items()}, say)
    baselines: list[dict[str, Any]] = []
    if budget is not None:
        if recipe.evaluate.baselines and splits.test:
            # First, because how long they take is known only afterwards.
            baselines = measure_baselines(splits, task, say)
        budget = replace(budget, ending=(len(validation) + len(test)) / len(validation))
    loop = Loop(model, task, prepare, train, validation, recipe, folder / "checkpoint.safetensors", say, budget)
    say(
        "start",
        epochs=chosen(recipe.train.epochs),
        steps_an_epoch=loop.steps_an_epoch,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        train=len(train),
        validation=len(validation),
        test=len(splits.test),
        **(announce or {}),
    )
    finished = loop.run(ctrl_c)
    save_model(folder / "model", loop.best, recipe.model, prepare, task, source.schema)
    if not finished:
        return None
    say("stop", reason=loop.at.finished)
    model.load_state_dict(loop.best)
    logits = predict_logits(model, prepare, validation.items)
    sizes = {"train": len(train), "validation": len(validation), "test": len(splits.test)}
    results = Results(task, sizes, loop.at.history, loop.at.finished, task.measure(logits, validation.targets))
    results.earlier_seconds = loop.earlier_seconds
    if splits.test:
        results.test_logits, results.test_targets = predict_logits(model, prepare, test.items), test.targets
        results.test = task.measure(results.test_logits, results.test_targets)
    if recipe.evaluate.baselines and splits.test:
        results.baselines = baselines or measure_baselines(splits, task, say)
    return results


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


def data_record(source: Source, splits: Splits) -> dict[str, Any]:
    """What data.json holds: where the data stood, its hash, its schema and the rows of each split."""
    return {
        "path": str(source.path.absolute()),
        "sha256": source.sha256,
        "schema": source.schema.to_dict(),
        "splits": split_ids(splits),
        "notes": list(splits.notes),
    }


def labeled_only(splits: Splits, say: Say) -> Splits:
    """The splits without rows that cannot be trained on or measured.

    Raises: UsageError where no training or no validation row remains.
    """
    kept = {}
    for name in ("train", "validation", "test"):
        rows: list[Example] = getattr(splits, name)
        kept[name] = [row for row in rows if row.label is not None and (name == "test" or row.text.strip())]
        if len(kept[name]) < len(rows):
            say("said", sentence=f"{len(rows) - len(kept[name])} {name} rows without a label or a text are left out")
    if not kept["train"] or not kept["validation"]:
        empty = "train" if not kept["train"] else "validation"
        raise UsageError(f"no {empty} row with a label and a text is left; give more rows, or another data.validation")
    return Splits(kept["train"], kept["validation"], kept["test"], splits.notes)


def _rows(examples: list[Example], prepare: Preprocessing, task: Task) -> Rows:
    items = prepare.encode([example.text for example in examples], [example.pair for example in examples])
    return Rows(items, task.targets(examples), [example.place for example in examples])


def _preprocess(
    root: Path, folder: Path, recipe: Recipe, train: list[Example], say: Say, allow_code: bool
) -> tuple[Recipe, Preprocessing]:
    stored = root / "recipe.toml"
    if stored.exists():
        recipe = load_recipe(stored, allow_code=None)
        if (folder / "model" / "tokenizer.json").exists():
            return recipe, Preprocessing.load(folder / "model", _limits(recipe))
    choices, tokenizer = settle(recipe, train, allow_code)
    recipe = choices.recipe
    prepare = Preprocessing(tokenizer, **_limits(recipe))
    (folder / "model").mkdir(parents=True, exist_ok=True)
    prepare.save(folder / "model")
    if not stored.exists():
        for name, reason in choices.reasons.items():
            section, entry = name.split(".")
            value = getattr(getattr(recipe, section), entry)
            say("choice", field=name, value=value, reason=reason)
        save_recipe(stored, recipe, choices.reasons)
    return recipe, prepare


def _limits(recipe: Recipe) -> dict[str, Any]:
    return {
        "max_tokens": chosen(recipe.tokens.max_tokens),
        "hierarchical": chosen(recipe.model.hierarchical),
        "max_sentences": chosen(recipe.tokens.max_sentences),
        "max_sentence_tokens": recipe.tokens.max_sentence_tokens,
    }
