"""From splits to what a training holds: the complete recipe, the preprocessing, the network and encoded rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from attnkit.data.examples import Example
from attnkit.data.split import Splits, make_splits, split_ids
from attnkit.errors import UsageError
from attnkit.model.build import build_model
from attnkit.model.changes import Feed
from attnkit.model.settings import chosen
from attnkit.run.recipe import Recipe, load_recipe, save_recipe
from attnkit.run.record import write_record
from attnkit.task.base import Task
from attnkit.train.beside import beside
from attnkit.train.events import Say
from attnkit.train.joint import (
    Further,
    Joint,
    all_training_rows,
    check_pairs,
    for_several,
    joined,
    read_further,
    record_of,
    task_name,
)
from attnkit.train.loop import predict_logits
from attnkit.train.named_files import record_of_files
from attnkit.train.parallel.pieces import check_pieces, settle_pieces
from attnkit.train.parallel.processes import current
from attnkit.train.parallel.sharing import check_sharded
from attnkit.train.prepare import Source, check_cut
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.settle import settle
from attnkit.train.shares import rows_wanted
from attnkit.train.start import begin
from attnkit.train.terms.check import check_terms
from attnkit.train.update import Rows
from attnkit.train.wide import fit_wide


@dataclass(frozen=True)
class Assembled:
    """What a training is made of, before the first step.

    With further tasks `train` holds the rows of all, in the form of `joint.several`; the rest is of the main task.
    """

    recipe: Recipe
    splits: Splits
    task: Task
    prepare: Preprocessing
    model: nn.Module
    train: Rows
    validation: Rows
    test: Rows
    joint: Joint | None = None

    @property
    def looped(self) -> tuple[Task, Rows]:
        """What a loop is told to learn, and the validation rows in the form that this takes."""
        return (self.joint.several, self.joint.held(self.validation)) if self.joint else (self.task, self.validation)


def split_source(source: Source, recipe: Recipe) -> Splits:
    """The rows of `source` as `recipe` splits them, as many as it wants."""
    data = recipe.data
    splits = make_splits(
        dict(source.tables), source.schema, data.validation, data.test, data.split_seed, data.validation_order
    )
    return rows_wanted(splits, recipe)


def assemble(
    root: Path,
    folder: Path,
    recipe: Recipe,
    splits: Splits,
    source: Source,
    say: Say,
    allow_code: bool = False,
    quiet: bool = False,
) -> Assembled:
    """What training on these splits holds; the recipe and the record of the data go to `root`, if not there already.

    The tokenizer goes to `folder`. With `quiet` texts that the limit on length cuts are not reported.

    Raises: UsageError where no row can be trained on, or the recipe asks for what these rows or the model cannot give.
    """
    check_terms(recipe)
    check_sharded(recipe)
    splits = labeled_only(splits, say, labels=source.schema.label is not None)
    task = source.task.fitted(splits.train)
    processes = current()
    further = read_further(recipe, source, say, root)
    processes.lead(lambda: _settle_once(root, folder, recipe, splits, source, further, say, allow_code))
    recipe = load_recipe(root / "recipe.toml", allow_code=None)
    check_pieces(recipe.train.accumulate, processes.size)
    check_pairs(recipe, further)
    prepare = Preprocessing.load(folder / "model", _limits(recipe))
    torch.manual_seed(recipe.train.seed)
    try:
        outputs = task.outputs + sum(one.task.outputs for one in further)
        model = build_model(recipe.model, prepare.tokenizer.size, outputs, allow_code=allow_code)
        if recipe.train.packs and (reason := model.refuses_packing()):
            raise ValueError(f'the texts cannot be packed: {reason}; set train.batches = "sorted"')
        parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
        rows = {name: _rows(part, prepare, task) for name, part in parts.items()}
        # An operator may refuse what only the data shows, such as texts longer than it was built for.
        predict_logits(model, prepare, [max(rows["train"].items, key=len)])
    except ValueError as error:
        raise UsageError(str(error)) from None
    if not processes.lead((folder / "checkpoint.safetensors").exists):
        fit_wide(model, recipe.model, rows["train"], task)
        feed = _feed(prepare, rows["train"])
        begin(model, recipe, prepare.tokenizer, task, outputs, root, say, allow_code, feed)
    joint, train = None, rows["train"]
    if further:
        each = {
            name: [rows[name], *(_rows(getattr(o.splits, name), prepare, o.task) for o in further)] for name in rows
        }
        joint, train = joined(task, task_name(source.path), further, recipe, each, model)
    train = beside(train, model, recipe, splits, source.schema, task, prepare, root, say, allow_code)
    if not quiet and processes.leads:
        check_cut(parts, prepare, {name: held.items for name, held in rows.items()}, say)
    return Assembled(recipe, splits, task, prepare, model, train, rows["validation"], rows["test"], joint)


def _feed(prepare: Preprocessing, train: Rows) -> Feed:
    """Runs a network over some training rows, spread over all of them."""

    def feed(network: nn.Module, texts: int) -> None:
        predict_logits(network, prepare, train.items[:: max(1, len(train) // texts)][:texts])

    return feed


def data_record(source: Source, splits: Splits) -> dict[str, Any]:
    """What data.json holds: where the data stood, its hash, its schema and the rows of each split."""
    return {
        "path": str(source.path.absolute()),
        "sha256": source.sha256,
        "schema": source.schema.to_dict(),
        "splits": split_ids(splits),
        "notes": list(splits.notes),
    }


def labeled_only(splits: Splits, say: Say, labels: bool = True) -> Splits:
    """The splits without rows that cannot be trained on or measured; without `labels` they need a text alone.

    Raises: UsageError where no training or no validation row remains.
    """
    kept = {}
    for name in ("train", "validation", "test"):
        rows: list[Example] = getattr(splits, name)
        labeled = [row for row in rows if row.label is not None or not labels]
        kept[name] = [row for row in labeled if (name == "test" and labels) or row.text.strip()]
        if len(kept[name]) < len(rows):
            what = "a label or a text" if labels else "a text"
            say("said", sentence=f"{len(rows) - len(kept[name])} {name} rows without {what} are left out")
    if not kept["train"] or not kept["validation"]:
        empty = "train" if not kept["train"] else "validation"
        raise UsageError(f"no {empty} row with a label and a text is left; give more rows, or another data.validation")
    return Splits(kept["train"], kept["validation"], kept["test"], splits.notes)


def _rows(examples: list[Example], prepare: Preprocessing, task: Task) -> Rows:
    items = prepare.encode([example.text for example in examples], [example.pair for example in examples])
    return Rows(items, task.targets(examples), [example.place for example in examples])


def _settle_once(
    root: Path,
    folder: Path,
    recipe: Recipe,
    splits: Splits,
    source: Source,
    further: list[Further],
    say: Say,
    allow_code: bool,
) -> None:
    """Write the complete recipe, the record of the data and the tokenizer, unless a run that goes on has them."""
    stored = root / "recipe.toml"
    # Before the recipe: a run that has one goes on, and is then held to the data it was begun with.
    if not all(path.exists() for path in (stored, root / "data.json")):
        also = {"also": record_of(further, data_record)} if further else {}
        files = {"files": hashes} if (hashes := record_of_files(recipe)) else {}
        write_record(root / "data.json", {**data_record(source, splits), **also, **files})
    begun = stored.exists()
    if begun:
        recipe = load_recipe(stored, allow_code=None)
        if (folder / "model" / "tokenizer.json").exists():
            return
    choices, tokenizer = settle(for_several(recipe, further), all_training_rows(splits.train, further), allow_code)
    (folder / "model").mkdir(parents=True, exist_ok=True)
    Preprocessing(tokenizer, **_limits(choices.recipe)).save(folder / "model")
    if begun:
        return
    settle_pieces(choices, current().size)
    for name, reason in choices.reasons.items():
        section, entry = name.split(".")
        say("choice", field=name, value=getattr(getattr(choices.recipe, section), entry), reason=reason)
    save_recipe(stored, choices.recipe, choices.reasons)


def _limits(recipe: Recipe) -> dict[str, Any]:
    return {
        "max_tokens": chosen(recipe.tokens.max_tokens),
        "hierarchical": chosen(recipe.model.hierarchical),
        "max_sentences": chosen(recipe.tokens.max_sentences),
        "max_sentence_tokens": recipe.tokens.max_sentence_tokens,
    }
