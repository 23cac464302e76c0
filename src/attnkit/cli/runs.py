"""attn runs: a table of runs."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.terminal import say, show_json, show_table


def runs(
    folder: Annotated[Path, Parameter(help="Folder that holds the run directories.")] = Path("runs"),
    /,
    *,
    json: Json = False,
) -> None:
    """List the runs of a folder: data, model, figure with its interval, minutes.

    For example:

        attn runs
        attn runs experiments --json
    """
    from attnkit.run.listing import list_runs

    lines = list_runs(folder)
    if json:
        show_json([line.to_dict() for line in lines])
        return
    if not lines:
        say(f"{folder} holds no run; make one with: attn train DATA")
        return
    columns = ("run", "state", "data", "rows", "encoder", "pooling", "figure", "95 % interval", "minutes")
    rows = []
    for line in lines:
        figure = f"{line.measure} {line.value:.4f}" if line.value is not None else ""
        interval = f"[{line.low:.4f}, {line.high:.4f}]" if line.low is not None else ""
        minutes = f"{line.minutes:.1f}" if line.minutes is not None else ""
        known = (line.data or "", line.rows or "", line.encoder or "", line.pooling or "")
        rows.append((line.path, line.state, *known, figure, interval, minutes))
    show_table(columns, rows, right=("rows", "minutes"))
    say(*(f"{line.path}: {line.trouble}" for line in lines if line.trouble))
