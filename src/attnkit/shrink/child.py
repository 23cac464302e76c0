"""The child: a run that begins as its parent, changed, and is trained as any other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.model.changes import Change
from attnkit.model.settings import chosen
from attnkit.run.directory import PARTIAL, Run
from attnkit.run.recipe import Recipe
from attnkit.shrink.parent import Parent

# The share of its parent's learning rate at which a child goes on.
GENTLER = 0.3


def child_recipe(
    parent: Parent,
    changes: Sequence[Change],
    *,
    epochs: int,
    learning_rate: float | None,
    distill: bool,
    allow_code: bool = False,
) -> Recipe:
    """The recipe of the parent on the same rows, with more changes, a start from the parent and a short training."""
    recipe, schema = parent.run.recipe, parent.predictor.schema
    rate = GENTLER * chosen(recipe.train.learning_rate) if learning_rate is None else learning_rate
    values: dict[str, Any] = {
        "data.path": parent.run.data["path"],
        "data.text": schema.text,
        "data.label": schema.label,
        "data.kind": schema.kind,
        # The tokenizer is that of the start.
        **{f"tokens.{name}": "auto" for name in ("tokenizer", "vocabulary_size", "lowercase", "min_count")},
        "model.changes": [*recipe.model.changes, *(change.to_plain() for change in changes)],
        "start.start_from": str(parent.run.path.absolute()),
        "start.word_vectors": "",
        "start.unfreeze_epochs": 0.0,
        "train.epochs": epochs,
        "train.minutes": 0.0,
        # What few rows teach may be worth less than what was there.
        "train.evaluate_start": True,
        "train.learning_rate": rate,
        "train.warmup_steps": "auto",
        "evaluate.baselines": False,
        "distill.teacher": [str(parent.run.path.absolute())] if distill else [],
    }
    return recipe.with_values(values, allow_code=allow_code)


def free_path(parent: Run) -> Path:
    """NAME-shrunk beside the parent, numbered where it, or the run that it would be trained in, is taken."""
    first = parent.path.with_name(f"{parent.name}-shrunk")
    number, path = 1, first
    while _taken(path) or _taken(trained_path(path)):
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def trained_path(place: Path) -> Path:
    """Where what will be stored at `place` is trained first."""
    return place.with_name(f"{place.name}-trained")


def refuse_taken(*places: Path) -> None:
    """Hold `places` to being free.

    Raises: UsageError naming the first that is not, finished or not.
    """
    for place in places:
        taken = _taken(place)
        if taken:
            raise UsageError(f"{taken} already exists; choose another name with --out, or delete it")


def _taken(place: Path) -> Path | None:
    return next((one for one in (place, place.with_name(place.name + PARTIAL)) if one.exists()), None)
