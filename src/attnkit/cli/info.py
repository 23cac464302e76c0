"""attn info: what any path is, and what is missing."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Json
from attnkit.cli.terminal import complain, say, show_json


def info(
    path: Annotated[Path, Parameter(help="Anything: a run, study or comparison, data, a recipe, weights.")],
    /,
    *,
    allow_code: AllowCode = False,
    json: Json = False,
) -> int:
    """Explain a path: what it is, what it holds, what is missing, and what to do with it.

    For example:

        attn info runs/2026-11-22-reviews
        attn info reviews.csv
    """
    from attnkit.adapt.info import explain_learner
    from attnkit.compare.info import explain_compared
    from attnkit.ship.info import explain_shipped
    from attnkit.tune.info import explain_path

    ours = explain_learner(path) or explain_compared(path) or explain_shipped(path)
    found = ours or explain_path(path, allow_code=allow_code)
    if json:
        show_json(found.to_dict())
    else:
        say(f"{found.path}: {found.kind}", style="bold")
        say(*found.sentences)
        say(*(f"Next: {command}" for command in found.next))
    if found.kind in ("run", "study", "artefact", "bundle") and found.missing:
        return complain(f"{path} is not whole: {', '.join(found.missing)} missing; copy the whole directory again.")
    return 0
