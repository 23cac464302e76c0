"""attn info: what any path is, and what is missing."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.terminal import say, show_json


def info(
    path: Annotated[Path, Parameter(help="Anything: a run, a data file or folder, a recipe, weights.")],
    /,
    *,
    json: Json = False,
) -> int:
    """Explain a path: what it is, what it holds, what is missing, and what to do with it.

    For example:

        attn info runs/2026-11-22-reviews
        attn info reviews.csv
    """
    from attnkit.train.explain import explain

    found = explain(path)
    whole = found.kind != "run" or not found.missing
    if json:
        show_json(found.to_dict())
    else:
        say(f"{found.path}: {found.kind}", style="bold")
        say(*found.sentences)
        if found.missing:
            say(f"Missing: {', '.join(found.missing)}.")
        say(*(f"Next: {command}" for command in found.next))
    return 0 if whole else 1
