"""attn curve: how well shares of the training rows do, and whether more would help."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from attnkit.cli.comparisons import show_curve
from attnkit.cli.options import AllowCode, Json
from attnkit.cli.progress import Narrator
from attnkit.cli.settings import NOTHING_SET, Settings
from attnkit.cli.terminal import show_json


def curve(
    data: Annotated[Path | None, Parameter(help="File or folder of the data; the recipe may name it instead.")] = None,
    /,
    *,
    shares: Annotated[
        tuple[str, ...], Parameter(help="Shares of the training rows, with commas between; 25, 50, 75, 100 % without.")
    ] = (),
    seeds: Annotated[int, Parameter(help="Trainings of each share, with seeds that follow train.seed.")] = 3,
    settings: Settings = NOTHING_SET,
    time: Annotated[str | None, Parameter(help="Wall time of each training, such as 90s or 10m.")] = None,
    recipe: Annotated[Path | None, Parameter(help="Recipe to begin from (`attn init` writes one).")] = None,
    out: Annotated[Path | None, Parameter(help="Directory for it; runs/DATE-NAME-curve where left out.")] = None,
    resume: Annotated[bool, Parameter(help="Go on in --out where it stopped.", show_default=False)] = False,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Train on shares of the training rows, measured on the same validation rows, and say whether more would help.

    A power law is fitted to the errors; where it says nothing of twice the data, nothing is said.

    For example:

        attn curve reviews.csv
        attn curve reviews.csv --shares 0.1,0.3,1 --seeds 5
        attn curve reviews.csv --out learning --resume --json
    """
    from attnkit.compare import curve as run_curve
    from attnkit.compare.curve import shares_of
    from attnkit.train.budget import minutes_of
    from attnkit.train.overrides import use_threads

    values = settings.values(recipe, minutes=minutes_of(time) if time is not None else None)
    use_threads(threads)
    how: dict[str, Any] = {"recipe": recipe, "out": out, "resume": resume, "allow_code": allow_code, "seeds": seeds}
    with Narrator(quiet=json) as say:
        found = run_curve(data, shares=shares_of(shares), progress=say, **how, **values)
    show_json({"path": str(found.path), **found.record}) if json else show_curve(found)
