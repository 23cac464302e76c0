"""attn lr: a range test of the learning rate, with a rate to begin from."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Force, Json
from attnkit.cli.progress import Narrator
from attnkit.cli.settings import NOTHING_SET, Settings
from attnkit.cli.terminal import say, show_json


def lr(
    data: Annotated[Path | None, Parameter(help="File or folder of the data; the recipe may name it instead.")] = None,
    /,
    *,
    settings: Settings = NOTHING_SET,
    recipe: Annotated[Path | None, Parameter(help="Recipe to begin from (`attn init` writes one).")] = None,
    lowest: Annotated[float, Parameter(help="Rate of the first step.")] = 1e-5,
    highest: Annotated[float, Parameter(help="Rate of the last step, if it comes to that.")] = 10.0,
    steps: Annotated[int, Parameter(help="Most steps; it stops where the loss diverges.")] = 300,
    out: Annotated[Path | None, Parameter(help="Picture to write (.png).")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    force: Force = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Find a learning rate: train a little while it rises, see where the loss falls and where it diverges.

    The settings are those of `attn train`, optimizer and batch included; no run is kept.

    For example:

        attn lr reviews.csv
        attn lr reviews.csv --encoder transformer --set optimizer.optimizer=sgd --out lr.png
        attn lr --recipe recipe.toml --steps 600 --json
    """
    from attnkit.train.overrides import use_threads
    from attnkit.train.rate_picture import check_picture, write_picture
    from attnkit.train.rate_range import learning_rate_range

    check_picture(out, force)
    use_threads(threads)
    values = settings.values(recipe)
    with Narrator(quiet=json) as told:
        values |= {"lowest": lowest, "highest": highest, "steps": steps}
        found = learning_rate_range(data, recipe=recipe, progress=told, allow_code=allow_code, **values)
    if out is not None:
        write_picture(found, out)
    if json:
        show_json({**found.to_dict(), "out": None if out is None else str(out)})
        return
    say("", f"{len(found.rates)} steps of {found.optimizer}, from {found.rates[0]:.2g} to {found.rates[-1]:.2g}:")
    say(*found.sentences)
    say("", f"learning rate {found.suggested:.2g}: {found.reason}", style="bold")
    say(*([f"The picture is in {out}."] if out is not None else []))
