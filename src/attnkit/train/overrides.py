"""Options of the command line as recipe fields."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from attnkit.errors import UsageError
from attnkit.run.recipe import load_recipe, parse_value
from attnkit.train.parallel.processes import launched

MOST_THREADS = 1024


def overrides(
    settings: Iterable[str] = (),
    *,
    text: str | None = None,
    pair: str | None = None,
    attention: str | None = None,
    batch: str | None = None,
    recipe: str | Path | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Recipe fields by name: `settings` are "field=value" words, and options that are None are left out.

    `attention` goes into the layers of a transformer or bert, and into the pooling of any other encoder; `batch` is a
    number of texts, or "auto" for as many as fit.

    Raises: UsageError where a word has no "=", a batch is no number, or a pair is named without its first text.
    """
    chosen = {name: value for name, value in options.items() if value is not None}
    if pair is not None and text is None:
        raise UsageError(f"--pair {pair} names the second text column; name the first one with --text too")
    if text is not None:
        chosen["text"] = (text,) if pair is None else (text, pair)
    if batch is not None:
        # A complete recipe has a number of rows, which is then asked for anew.
        rows = parse_value(batch)
        if rows != "auto" and (not isinstance(rows, int) or isinstance(rows, bool)):
            raise UsageError(f"--batch takes a number of texts, or auto for as many as fit, and got {batch!r}")
        chosen["train.batch_rows"] = rows
        if batch == "auto":
            chosen["train.fit_batch"] = True
    for word in settings:
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set takes field=value, such as train.epochs=3, and got {word!r}")
        field = name.strip()
        if field.rpartition(".")[2] in {known.rpartition(".")[2] for known in chosen}:
            raise UsageError(f"{field} is given twice; keep one of the two")
        chosen[field] = parse_value(value.strip())
    if attention is not None:
        encoder = chosen.get("encoder", chosen.get("model.encoder"))
        if encoder is None and recipe is not None:
            encoder = load_recipe(recipe, allow_code=None).model.encoder
        field = "attention" if encoder in ("transformer", "bert") else "pooling"
        if field in chosen or f"model.{field}" in chosen:
            raise UsageError(
                f"--attention is the recipe field model.{field} here, which --set gives too; keep one of them"
            )
        chosen[f"model.{field}"] = attention
    return chosen


def use_threads(count: int | None) -> None:
    """Compute with `count` threads from here on; None leaves them as they are, or shares the cores of this machine out
    to the processes that torchrun launched.

    Raises: UsageError where it is not from 1 to 1024.
    """
    if count is None:
        # torchrun gives each a single thread where the user said nothing.
        if launched() > 1 and os.environ.get("OMP_NUM_THREADS", "1") == "1":
            torch.set_num_threads(max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", launched()))))
        return
    if not 1 <= count <= MOST_THREADS:
        raise UsageError(f"--threads takes a number from 1 to {MOST_THREADS}, and got {count}")
    torch.set_num_threads(count)
