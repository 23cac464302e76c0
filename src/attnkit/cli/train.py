"""attn train: from a data file to a finished run."""

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Json
from attnkit.cli.progress import Narrator
from attnkit.cli.results import show_run
from attnkit.cli.settings import NOTHING_SET, Settings
from attnkit.cli.terminal import show_json

BEGAN = time.monotonic()


def train(
    data: Annotated[Path | None, Parameter(help="File or folder of the data; the recipe may name it instead.")] = None,
    /,
    *,
    settings: Settings = NOTHING_SET,
    time: Annotated[str | None, Parameter(help="Wall time of the whole command, such as 90s, 10m or 1h30m.")] = None,
    also: Annotated[
        tuple[str, ...],
        Parameter(help="Further data to learn with the same encoder; may be repeated.", show_default=False),
    ] = (),
    folds: Annotated[int | None, Parameter(help="Cross-validate in this many folds.")] = None,
    baselines: Annotated[bool | None, Parameter(help="Measure simple baselines on the same rows.")] = None,
    recipe: Annotated[Path | None, Parameter(help="Recipe to begin from (`attn init` writes one).")] = None,
    out: Annotated[Path | None, Parameter(help="Directory of the run; runs/DATE-NAME where left out.")] = None,
    resume: Annotated[bool, Parameter(help="Go on where the unfinished run stopped.", show_default=False)] = False,
    processes: Annotated[int | None, Parameter(help="Processes of this machine that share each batch.")] = None,
    sharded: Annotated[bool | None, Parameter(help="Let each process hold a part of the weights.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Train a model on labeled texts, measure it once on held-out rows, and keep it as a run directory.

    Says what it inferred and chose, checks the data first, saves as it goes; Ctrl-C ends cleanly, --resume goes on.

    For example:

        attn train reviews.csv
        attn train reviews.csv --preset best --time 30m
        attn train reviews.csv --from runs/words
        attn train reviews.csv --text body --label stars --baselines
        attn train reviews.csv --encoder transformer --attention longformer --set train.learning_rate=0.0005
        attn train --recipe runs/2026-11-22-reviews/recipe.toml
        attn train reviews.csv --resume --processes 2
    """
    from attnkit.train.budget import minutes_of
    from attnkit.train.overrides import use_threads
    from attnkit.train.training import train as run_training

    minutes = minutes_of(time) if time is not None else None
    values = settings.values(
        recipe, folds=folds, baselines=baselines, minutes=minutes, also=also or None, sharded=sharded
    )
    use_threads(threads)
    with Narrator(quiet=json) as say:
        how: dict[str, Any] = {"recipe": recipe, "out": out, "resume": resume, "allow_code": allow_code}
        run = run_training(data, progress=say, began=BEGAN, processes=processes, **how, **values)
    if json:
        show_json({"run": str(run.path), **run.metrics})
    else:
        show_run(run)
