"""Weights from elsewhere into a network that is changed further: filled first, then changed."""

from dataclasses import replace

import torch

from attnkit.data.tokens import TextTokenizer, pruned
from attnkit.errors import UsageError
from attnkit.model.build import Network, build_model
from attnkit.model.changes import (
    Change,
    Feed,
    PruneVocabulary,
    apply_changes,
    changes_from_plain,
    vocabulary_before,
)
from attnkit.model.settings import ModelSettings
from attnkit.task.base import Task
from attnkit.train.start.fill import Filled, fill
from attnkit.train.start.start import Start


def fill_changed(
    model: Network,
    settings: ModelSettings,
    task: Task,
    start: Start,
    vocabulary_size: int,
    outputs: int,
    allow_code: bool = False,
    feed: Feed | None = None,
) -> Filled:
    """Put the weights of `start` into `model`, after making on them the changes of `settings` that they lack.

    What changes look at are the texts of `feed`.

    Raises: UsageError where nothing fits, or `start` has changes that `settings` have not.
    """
    lacking = lacking_changes(settings, start)
    if not lacking:
        return fill(model, settings, task, start)
    whole_settings = settings.model_copy(update={"changes": settings.changes[: -len(lacking)]})
    with torch.random.fork_rng(devices=[]):
        size = vocabulary_before(lacking, vocabulary_size)
        whole = build_model(whole_settings, size, outputs, allow_code=allow_code)
    # What is not taken over is that of the model, such as what its wide branch has counted.
    own, held = model.state_dict(), whole.state_dict()
    whole.load_state_dict({n: own[n] if n in own and own[n].shape == v.shape else v for n, v in held.items()})
    filled = fill(whole, whole_settings, task, start)
    try:
        apply_changes(whole.eval(), lacking, feed)
    except ValueError as error:
        raise UsageError(f"{start.said} cannot be changed: {error}") from None
    model.load_state_dict(whole.state_dict())
    return replace(filled, changed=lacking)


def lacking_changes(settings: ModelSettings, start: Start) -> tuple[Change, ...]:
    """The changes of `settings` that the weights of `start` have not gone through.

    Raises: UsageError where they have gone through others.
    """
    if settings.encoder != start.settings.encoder:
        # Not one of its layers is taken over.
        return ()
    wanted, had = changes_from_plain(settings.changes), changes_from_plain(start.settings.changes)
    if wanted[: len(had)] != had:
        raise UsageError(
            f"{start.said} has gone through {len(had)} changes with which model.changes does not begin; leave "
            "model.changes out, or put them first"
        )
    return wanted[len(had) :]


def changed_tokenizer(settings: ModelSettings, start: Start | None, tokenizer: TextTokenizer) -> TextTokenizer:
    """`tokenizer`, that of `start` or one fitted anew, after the changes of `settings` that it lacks.

    Raises: UsageError where it cannot be changed so.
    """
    lacking = changes_from_plain(settings.changes) if start is None else lacking_changes(settings, start)
    for change in lacking:
        if isinstance(change, PruneVocabulary):
            if change.rows != tokenizer.size:
                raise UsageError(
                    f"prune_vocabulary is for a vocabulary of {change.rows:,} and the tokenizer has "
                    f"{tokenizer.size:,}; begin from the run that it was made for (--from)"
                )
            try:
                tokenizer = pruned(tokenizer, change.numbers())
            except ValueError as error:
                raise UsageError(f"the vocabulary cannot be pruned: {error}") from None
    return tokenizer
