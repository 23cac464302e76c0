"""What the weights are before the first step, where the recipe says that they are not drawn."""

from pathlib import Path

import torch

from attnkit.data.tokens import TextTokenizer
from attnkit.errors import UsageError
from attnkit.model.build import Network
from attnkit.model.changes import Feed
from attnkit.model.classifier import TextClassifier
from attnkit.run.recipe import Recipe
from attnkit.run.record import file_sha256, write_record
from attnkit.task.base import Task
from attnkit.train.choices import Choices
from attnkit.train.events import Say
from attnkit.train.parallel.processes import current
from attnkit.train.start.as_mean import begin_as_mean
from attnkit.train.start.changed import fill_changed
from attnkit.train.start.choose import choose_start, prefer
from attnkit.train.start.opening import open_start
from attnkit.train.start.start import Start
from attnkit.train.start.vectors import fill_vectors, vectors_width

PARENT = "parent"


def settle_start(choices: Choices, rows: int, allow_code: bool = False) -> Start | None:
    """Settle what the recipe's start decides, and give it; None where no run or checkpoint is named.

    Raises: UsageError where a start cannot be read, or contradicts the recipe.
    """
    settings = choices.recipe.start
    if settings.word_vectors and settings.start_from:
        raise UsageError("start.word_vectors and start.start_from both fill the embeddings; leave one of them out")
    if settings.word_vectors:
        width = vectors_width(Path(settings.word_vectors))
        prefer(choices, "model.embedding_width", width, f"the width of {Path(settings.word_vectors).name}")
    if not settings.start_from:
        if choices.recipe.tokens.tokenizer == "given":
            raise UsageError('tokens.tokenizer = "given" needs a run or checkpoint in start.start_from (--from)')
        return None
    start = open_start(settings.start_from, allow_code)
    choose_start(choices, start, rows)
    if start.settings.changes and choices.recipe.model.encoder == start.settings.encoder:
        prefer(choices, "model.changes", start.settings.changes, f"what {start.said} has gone through")
    return start


def begin(
    model: Network,
    recipe: Recipe,
    tokenizer: TextTokenizer,
    task: Task,
    outputs: int,
    root: Path,
    say: Say,
    allow_code: bool = False,
    feed: Feed | None = None,
) -> None:
    """Fill `model` as the recipe's [start] says, tell what was taken, and record the parent in the run at `root`.

    What changes look at are the texts of `feed`.

    Raises: UsageError where nothing fits.
    """
    settings = recipe.start
    if settings.word_vectors:
        path = Path(settings.word_vectors)
        with torch.no_grad():
            found = fill_vectors(model.embedding.rows.weight, tokenizer, path)
        if not found:
            raise UsageError(
                f"{path} knows none of the {tokenizer.size:,} words of these texts; give vectors of their language"
            )
        share = found / max(1, tokenizer.size)
        say("said", sentence=f"{path.name} has vectors for {found:,} of {tokenizer.size:,} words ({share:.1%})")
    if settings.start_from:
        start = open_start(settings.start_from, allow_code)
        filled = fill_changed(model, recipe.model, task, start, tokenizer.size, outputs, allow_code, feed)
        say("said", sentence=filled.sentence(start))
        fresh_pooling = any(name.startswith("summary.pooling.") for name in filled.fresh)
        if fresh_pooling and isinstance(model, TextClassifier) and begin_as_mean(model.summary.pooling):
            say("said", sentence="the pooling begins as the plain mean of all positions")
        _record(root, start)


def _record(root: Path, start: Start) -> None:
    weights = start.path / (
        "model.safetensors" if (start.path / "config.json").is_file() else "model/weights.safetensors"
    )
    checksum = file_sha256(weights) if weights.is_file() else None
    record = {"path": str(start.path.absolute()), "said": start.said, "weights_sha256": checksum}
    current().lead(lambda: write_record(root / PARENT, record))
