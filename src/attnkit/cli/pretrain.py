"""attn pretrain: a language model on texts, for `attn train --from` to begin with."""

import time
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Json
from attnkit.cli.progress import Narrator
from attnkit.cli.results import show_pretrained
from attnkit.cli.settings import NOTHING_SET, Settings
from attnkit.cli.terminal import show_json

BEGAN = time.monotonic()


def pretrain(
    data: Annotated[Path | None, Parameter(help="Data as for `attn train`, or a .txt file of one text a line.")] = None,
    /,
    *,
    objective: Annotated[
        Literal["masked", "causal"] | None,
        Parameter(help="Words are predicted from the whole text (masked), or from those before them (causal)."),
    ] = None,
    settings: Settings = NOTHING_SET,
    time: Annotated[str | None, Parameter(help="Wall time of the whole command, such as 90s, 10m or 1h30m.")] = None,
    recipe: Annotated[Path | None, Parameter(help="Recipe to begin from.")] = None,
    out: Annotated[Path | None, Parameter(help="Directory of the run; runs/DATE-NAME where left out.")] = None,
    resume: Annotated[bool, Parameter(help="Go on where the unfinished run stopped.", show_default=False)] = False,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Learn to predict the words of texts, labeled or not, and keep the network as a run to train from.

    Labels and test texts are not read. The run is measured by its perplexity on held-out texts.

    For example:

        attn pretrain reviews.csv --out runs/words
        attn pretrain texts.txt --objective causal --encoder bilstm --time 30m
        attn train reviews.csv --from runs/words
    """
    from attnkit.train.budget import minutes_of
    from attnkit.train.overrides import use_threads
    from attnkit.train.pretrain import pretrain as run_pretraining

    values = settings.values(recipe, minutes=minutes_of(time) if time is not None else None)
    use_threads(threads)
    with Narrator(quiet=json) as say:
        how: dict[str, Any] = {"recipe": recipe, "out": out, "resume": resume, "allow_code": allow_code}
        run = run_pretraining(data, objective=objective, progress=say, began=BEGAN, **how, **values)
    if json:
        show_json({"run": str(run.path), **run.metrics})
    else:
        show_pretrained(run)
