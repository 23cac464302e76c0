"""attn tune: settings of a recipe, searched within a budget."""

import time
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Json
from attnkit.cli.settings import NOTHING_SET, Settings
from attnkit.cli.studies import NO_SEARCH, Positive, SearchSettings, StudyNarrator, show_study
from attnkit.cli.terminal import say, show_json

BEGAN = time.monotonic()


def tune(
    data: Annotated[Path | None, Parameter(help="File or folder of the data; the recipe may name it instead.")] = None,
    /,
    *,
    search: SearchSettings = NO_SEARCH,
    settings: Settings = NOTHING_SET,
    recipe: Annotated[Path | None, Parameter(help="Recipe to begin from, with [tune.space] in it or not.")] = None,
    workers: Annotated[Positive, Parameter(help="Processes that try settings at the same time.")] = 1,
    threads: Annotated[int | None, Parameter(help="Threads that they share; all cores where left out.")] = None,
    storage: Annotated[str, Parameter(help="Journal file or database URL that machines share.")] = "",
    join: Annotated[Path | None, Parameter(help="Work on this study, which another process leads.")] = None,
    no_final: Annotated[bool, Parameter(help="Do not train the best setting in the end.", show_default=False)] = False,
    out: Annotated[Path | None, Parameter(help="Directory of the study; runs/DATE-NAME-tune where left out.")] = None,
    resume: Annotated[bool, Parameter(help="Go on where the unfinished study stopped.", show_default=False)] = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Search for good settings on rows held out of training, then train the best and measure it once on the test rows.

    Every trial is accounted for: pruned, failed, impossible or lost ones with the reason. Ctrl-C ends cleanly.

    For example:

        attn tune reviews.csv --trials 30
        attn tune reviews.csv --time 30m --workers 2
        attn tune reviews.csv --space "train.learning_rate={low=1e-4,high=1e-2,log=true}"
        attn tune reviews.csv --recipe space.toml --sampler grid --folds 5
        attn tune --join runs/2026-11-22-reviews-tune
        attn tune reviews.csv --resume
    """
    from attnkit.tune.joining import join_study
    from attnkit.tune.tuning import tune as run_tuning

    how: dict[str, Any] = {"workers": workers, "threads": threads, "storage": storage, "allow_code": allow_code}
    given = settings.values(recipe, **search.values())
    with StudyNarrator(quiet=json) as narrator:
        if join is not None:
            others = {"--recipe": recipe, "--out": out, "--resume": resume}
            ended = join_study(join, data=data, progress=narrator, given=given, others=others, **how)
            show_json({"study": str(join), "trials": ended}) if json else say(f"{ended} trials ended meanwhile.")
            return
        place: dict[str, Any] = {"recipe": recipe, "out": out, "resume": resume, "final": not no_final}
        study = run_tuning(data, progress=narrator, began=BEGAN, **place, **how, **given)
    if json:
        show_json({"study": str(study.path), **study.leaderboard})
    else:
        show_study(study)
