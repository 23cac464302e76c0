"""attn card: the model card of a run."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.terminal import show_json


def card(
    run: Annotated[Path, Parameter(help="Run directory.")],
    /,
    *,
    task: Annotated[str | None, Parameter(help="Task, where the run learned several; the main one else.")] = None,
    license: Annotated[str | None, Parameter(help="License of the model.")] = None,
    intended: Annotated[str | None, Parameter(help="What it is meant for.")] = None,
    json: Json = False,
) -> None:
    """Print the model card of a run, in Markdown: data, protocol, figures with intervals, limits.

    For example:

        attn card runs/2026-11-22-reviews --license Apache-2.0
    """
    from attnkit.run.directory import Run
    from attnkit.ship.card import card
    from attnkit.train.predictor import load

    opened = Run.open(run)
    text = card(opened, load(opened, task=task), license=license, intended=intended)
    if json:
        show_json({"run": str(run), "card": text})
    else:
        print(text, end="")
