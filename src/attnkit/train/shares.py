"""Fewer rows than there are: a share of the training rows, or the test rows left unread."""

from dataclasses import replace

from attnkit.data.split import Splits, hold_out
from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe


def rows_wanted(splits: Splits, recipe: Recipe) -> Splits:
    """The splits with the share of the training rows that `recipe` trains on, and test rows only where it reads them.

    A smaller share is part of every larger one; each label keeps at least one text, same texts stay together.
    """
    train, share = splits.train, recipe.data.train_share
    if share < 1:
        train, _ = hold_out(train, round((1 - share) * len(train)), recipe.train.seed)
    return replace(splits, train=train, test=splits.test if recipe.evaluate.read_test else [])


def refuse_fewer(recipe: Recipe) -> None:
    """Hold a cross-validation to all rows.

    Raises: UsageError where `recipe` wants fewer.
    """
    if recipe.data.train_share < 1 or not recipe.evaluate.read_test:
        name = "data.train_share" if recipe.data.train_share < 1 else "evaluate.read_test"
        raise UsageError(f"cross-validation tests every row once and cannot honor {name}; leave out one of the two")
