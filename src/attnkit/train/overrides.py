"""Options of the command line as recipe fields."""

import os
from collections.abc import Iterable
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.recipe import load_recipe, parse_value


def overrides(settings: Iterable[str] = (), **options: Any) -> dict[str, Any]:
    """Recipe fields by name: `settings` are "field=value" words, and options that are None are left out.

    Raises: UsageError where a word has no "=".
    """
    chosen = {name.replace("__", "."): value for name, value in options.items() if value is not None and value != ()}
    for word in settings:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--set takes field=value, such as train.epochs=3, and got {word!r}")
        chosen[name.strip()] = parse_value(value.strip())
    return chosen


def attention_field(encoder: str | None, recipe: str | os.PathLike[str] | None) -> str:
    """Where an operator named for "the attention" goes: into a transformer's layers, else into the pooling."""
    if encoder is None and recipe is not None:
        encoder = load_recipe(recipe, allow_code=True).model.encoder
    return "model.attention" if encoder == "transformer" else "model.pooling"
