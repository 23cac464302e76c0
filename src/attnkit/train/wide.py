"""The wide branch in training: how many n-grams it holds, and its first values, from the training rows."""

from collections.abc import Sequence

from torch import nn

from attnkit.errors import UsageError
from attnkit.model.classifier import TextClassifier
from attnkit.model.naive_bayes import count_ngrams, fit
from attnkit.model.settings import ModelSettings, chosen
from attnkit.task.base import Task
from attnkit.train.choices import Choices
from attnkit.train.update import Rows


def choose_wide(choices: Choices, items: Sequence[Sequence[int]], vocabulary_size: int) -> None:
    """Settle the wide branch from the training texts as ids; the length limit must be settled before."""
    settings = choices.recipe.model
    longest = 0 if settings.hierarchical is True else chosen(settings.wide_ngrams)
    if longest < 2 or settings.wide_rows != "auto":
        choices.settle("model.wide_rows", 1, "no n-gram of several words is read", read=longest > 0)
        return
    fewest = chosen(settings.wide_min_texts)
    limit = chosen(choices.recipe.tokens.max_tokens)
    count = count_ngrams([item[:limit] for item in items], vocabulary_size, longest, fewest)
    reason = f"n-grams of 2 to {longest} words that stand in {fewest} training texts or more"
    choices.settle("model.wide_rows", max(1, count), reason)


def fit_wide(model: nn.Module, settings: ModelSettings, train: Rows, task: Task) -> None:
    """Give the wide branch of `model`, if it has one, the n-grams of the training rows and what they say.

    Raises: UsageError where the model has further tasks, which these rows say nothing of.
    """
    if not isinstance(model, TextClassifier) or model.wide is None:
        return
    if model.wide.outputs != task.outputs:
        raise UsageError("a wide branch begins from the labels of one task, and here are several; set wide_ngrams = 0")
    items: Sequence[Sequence[int]] = train.items  # type: ignore[assignment]
    fit(
        model.wide,
        items,
        train.targets,
        task.kind,
        min_texts=chosen(settings.wide_min_texts),
        smoothing=chosen(settings.wide_smoothing),
    )
