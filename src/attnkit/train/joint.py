"""Further tasks beside the main one: their files, their rows among the training rows, and each task by itself again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attnkit.data.examples import Example
from attnkit.data.schema import Schema
from attnkit.data.split import Splits, make_splits
from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe
from attnkit.run.record import read_record
from attnkit.task.base import Task
from attnkit.task.several import Several
from attnkit.train.balance import make_balance
from attnkit.train.events import Say
from attnkit.train.narrow import narrowed
from attnkit.train.parallel.processes import current
from attnkit.train.prepare import Source, check_source, read_source
from attnkit.train.shares import rows_wanted
from attnkit.train.update import Rows


@dataclass(frozen=True)
class Further:
    """One task beside the main one: its name, its data, and its labeled rows."""

    name: str
    source: Source
    splits: Splits
    task: Task


def task_name(path: str | Path) -> str:
    """What the task of a data file is called: the name of the file without its endings."""
    return Path(path).name.partition(".")[0]


def read_further(recipe: Recipe, source: Source, say: Say, root: Path | None = None) -> list[Further]:
    """The tasks that `recipe` learns beside the main one of `source`, read and split; none where it names none.

    Raises: UsageError where a file cannot be read or changed since a run in `root` was begun, where two tasks have
    one name, or where the recipe asks for what is about a single task.
    """
    settings = recipe.tasks
    if not settings.also:
        if settings.balance != "none" or settings.task_temperature != 1:
            raise UsageError("tasks.balance and tasks.task_temperature weigh several tasks; name further data, --also")
        return []
    _check(recipe)
    names = [task_name(source.path), *(task_name(path) for path in settings.also)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two data files make a task called {twice!r}; rename one of them")
    found = []
    for name, path in zip(names[1:], settings.also, strict=True):
        own = {"data.path": path, "data.text": (), "data.label": "", "data.kind": "auto", "data.validation_order": ""}
        say("said", sentence=f"The task {name}:")
        other = read_source(recipe.with_values(own, allow_code=True), say)
        begun = root is not None and current().lead((root / "data.json").exists)
        if not begun:
            check_source(other.examples(), other.schema, say)
        data = recipe.data
        splits = make_splits(dict(other.tables), other.schema, data.validation, data.test, data.split_seed)
        splits = _labeled(rows_wanted(splits, recipe), path)
        found.append(Further(name, other, splits, other.task.fitted(splits.train)))
    if root is not None:
        current().lead(lambda: _refuse_changed(found, root))
    return found


def _labeled(splits: Splits, path: str) -> Splits:
    kept: dict[str, list[Example]] = {
        name: [row for row in getattr(splits, name) if row.label is not None and row.text.strip()]
        for name in ("train", "validation", "test")
    }
    empty = next((name for name in ("train", "validation") if not kept[name]), None)
    if empty is not None:
        raise UsageError(f"{path} has no {empty} row with a label and a text; give more rows, or leave it out")
    return Splits(kept["train"], kept["validation"], kept["test"], splits.notes)


def _refuse_changed(found: Sequence[Further], root: Path) -> None:
    record = root / "data.json"
    if record.exists():
        before = {one["name"]: one["sha256"] for one in read_record(record).get("also", [])}
        changed = [one for one in found if before.get(one.name) != one.source.sha256]
        if changed:
            raise UsageError(f"{changed[0].source.path} changed since {root} was begun; put it back, or train anew")


def _check(recipe: Recipe) -> None:
    asked = {
        "evaluate.folds": recipe.evaluate.folds > 0,
        "distill.teacher": bool(recipe.distill.teacher),
        "regularize.adversarial = vat": recipe.regularize.adversarial == "vat",
        "model.language": recipe.model.language != "none",
        "augment.augment": recipe.augment.augment > 0,
        "train.sharded": recipe.train.sharded,
        "model.wide_ngrams": recipe.model.wide_ngrams not in ("auto", 0),
    }
    for name, on in asked.items():
        if on:
            raise UsageError(f"{name} is about one task, and tasks.also names further ones; leave one of the two out")
    if recipe.tasks.balance != "none" and current().size > 1:
        raise UsageError(f"tasks.balance = {recipe.tasks.balance} is for one process; leave out --processes")


@dataclass(frozen=True)
class Joint:
    """All tasks of a training: `several` for the loop, and each of them with its rows, the main one first."""

    several: Several
    further: tuple[Further, ...]
    validation: tuple[Rows, ...]
    test: tuple[Rows, ...]

    def held(self, rows: Rows) -> Rows:
        """Rows of the main task with targets as the loop takes them."""
        return replace(rows, targets=self.several.held(0, rows.targets))

    def only(self, model: nn.Module, number: int) -> nn.Module:
        """A copy of `model` that answers one task."""
        return narrowed(model, self.several.span(number))

    def saved(self, schema: Schema) -> list[tuple[str, Task, Schema]]:
        """Name, task and schema of each task, the main one's schema being `schema`."""
        schemas = [schema, *(one.source.schema for one in self.further)]
        return list(zip(self.several.names, self.several.tasks, schemas, strict=True))


def joined(
    main: Task, name: str, further: Sequence[Further], recipe: Recipe, rows: dict[str, list[Rows]], model: nn.Module
) -> tuple[Joint, Rows]:
    """All tasks, and their training rows as one; `rows` has, by split, those of each task, the main one first."""
    tasks = (main, *(one.task for one in further))
    sizes = [len(part) for part in rows["train"]]
    kinds = [task.kind for task in tasks]
    combine = make_balance(recipe.tasks.balance, recipe.tasks.task_temperature, model, kinds, sizes)
    several = Several((name, *(one.name for one in further)), tasks, combine)
    items = [item for part in rows["train"] for item in part.items]
    places = [place for part in rows["train"] for place in part.places]
    targets = torch.cat([several.held(k, part.targets) for k, part in enumerate(rows["train"])])
    joint = Joint(several, tuple(further), tuple(rows["validation"]), tuple(rows["test"]))
    return joint, Rows(items, targets, places)


def check_pairs(recipe: Recipe, further: Sequence[Further]) -> None:
    """Refuse pairs of texts where documents are read as sentences.

    Raises: UsageError where a further task has them.
    """
    paired = [one.name for one in further if one.splits.train[0].pair is not None]
    if paired and recipe.model.hierarchical is True:
        raise UsageError(
            f"the task {paired[0]} reads pairs, and a hierarchical model one text; set model.hierarchical = false"
        )


def for_several(recipe: Recipe, further: Sequence[Further]) -> Recipe:
    """The recipe without what begins from the labels of one task, where there are more and it was left open."""
    if further and recipe.model.wide_ngrams == "auto":
        return recipe.with_values({"model.wide_ngrams": 0}, allow_code=True)
    return recipe


def all_training_rows(main: Sequence[Example], further: Sequence[Further]) -> list[Example]:
    """The training rows of every task, on which the tokenizer is fitted."""
    return [*main, *(row for one in further for row in one.splits.train)]


def record_of(further: Sequence[Further], data_record: Any) -> list[dict[str, Any]]:
    """What data.json holds of further tasks: for each its name and what `data_record` says of its data."""
    return [{"name": one.name, **data_record(one.source, one.splits)} for one in further]
