"""What a training holds beside its rows and its network: noise, a teacher's lessons, texts without labels."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from attnkit.data.schema import Schema
from attnkit.data.split import Splits
from attnkit.run.recipe import Recipe
from attnkit.task.base import Task
from attnkit.train.altered import altered
from attnkit.train.events import Say
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.teacher import teach
from attnkit.train.terms.imitation import attach_imitation
from attnkit.train.unlabeled_texts import read_unlabeled
from attnkit.train.update import Rows


def beside(
    train: Rows,
    model: nn.Module,
    recipe: Recipe,
    splits: Splits,
    schema: Schema,
    task: Task,
    prepare: Preprocessing,
    root: Path,
    say: Say,
    allow_code: bool = False,
) -> Rows:
    """The training rows with all that [augment], [distill] and [regularize] ask for beside them.

    Where a teacher's summaries are imitated, `model` gains a projection, which its finished weights leave out.

    Raises: UsageError where a file or a teacher cannot be read, or does not fit.
    """
    lessons = teach(recipe.distill, splits, task, prepare, train.items, root, say, allow_code)
    if lessons is not None and lessons.summaries is not None:
        attach_imitation(model, lessons.summaries.shape[1])
    file, packs = recipe.regularize.unlabeled, recipe.train.packs
    unlabeled = read_unlabeled(file, schema, prepare, packs) if file else None
    if unlabeled is not None:
        say("said", sentence=f"{file} has {len(unlabeled.items):,} texts without labels to learn from")
    return replace(train, altered=altered(recipe, splits.train, prepare), lessons=lessons, unlabeled=unlabeled)
