"""attn shrink: a smaller run from a trained one."""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from attnkit.cli.frontiers import make_otherwise
from attnkit.cli.options import AllowCode, Json
from attnkit.cli.progress import Narrator
from attnkit.cli.shrink_options import NO_SEARCH, NOTHING_HELD, HoldingOptions, SearchOptions
from attnkit.cli.shrinkings import show_importance, show_shrunk
from attnkit.cli.terminal import show_json


def shrink(
    run: Annotated[Path, Parameter(help="Run directory.")],
    /,
    *,
    heads: Annotated[str, Parameter(help="Attention heads that go: a share such as 50%, or a number.")] = "",
    units: Annotated[str, Parameter(help="Inner units that go, of each layer.")] = "",
    layers: Annotated[str, Parameter(help="Encoder layers that go.")] = "",
    importance: Annotated[
        Literal["ablation", "gradient", "gates"], Parameter(help="How heads are weighed.")
    ] = "gradient",
    rows: Annotated[int, Parameter(help="Most validation rows by which it is decided what goes.")] = 1000,
    show: Annotated[bool, Parameter(help="Show what each is worth, and make nothing.", show_default=False)] = False,
    epochs: Annotated[int | None, Parameter(help="Passes over the training rows afterwards (1); 0: none.")] = None,
    learning_rate: Annotated[float | None, Parameter(help="Its learning rate; 0.3 of the parent's where out.")] = None,
    distill: Annotated[bool, Parameter(help="Let the child imitate its parent too.", show_default=False)] = False,
    holding: HoldingOptions = NOTHING_HELD,
    search: SearchOptions = NO_SEARCH,
    out: Annotated[Path | None, Parameter(help="Directory of the child; RUN-shrunk where left out.")] = None,
    threads: Annotated[int | None, Parameter(help="Threads to compute with; all cores where left out.")] = None,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Take out the heads, inner units and layers that a run needs least, train it on a little, and compare the two.

    What goes is decided on validation rows; the child is a run like any other, whose test rows are read once.

    For example:

        attn shrink runs/news --show
        attn shrink runs/news --heads 50%
        attn shrink runs/news --heads 50% --units 25% --layers 1 --epochs 2 --distill --out runs/news-small
        attn shrink runs/news --heads 8 --importance gates --epochs 0
        attn shrink runs/news --words 50% --store int8
        attn shrink runs/news --target size --max-loss 0.5pt --time 10m
    """
    from attnkit.shrink import shrink as run_shrinking
    from attnkit.shrink import weigh
    from attnkit.train.overrides import use_threads

    use_threads(threads)
    held = holding.holding()
    what: dict[str, Any] = {"heads": heads, "units": units, "layers": layers, "epochs": epochs}
    what |= {"learning_rate": learning_rate, "distill": distill, "out": out}
    if search.elsewhere:
        given = (heads, units, layers, importance, rows, show, learning_rate, distill, held)
        plain = ("", "", "", "gradient", 1000, False, None, False, NOTHING_HELD.holding())
        return make_otherwise(run, search, given != plain, epochs, out, allow_code, json)
    how: dict[str, Any] = {"importance": importance, "rows": rows, "allow_code": allow_code}
    if show:
        holding.refuse_beside_show(**what)
        found = weigh(run, **how)
        return show_json(found) if json else show_importance(found)
    with Narrator(quiet=json) as told:
        made = run_shrinking(run, holding=held, progress=told, **how, **what)
    show_json(made.to_dict()) if json else show_shrunk(made)
