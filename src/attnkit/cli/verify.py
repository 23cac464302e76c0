"""attn verify: does a shipped model still answer as its run does?"""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.shipments import AllowProgram, Budget, Floor, MaxLoss, MeasuredOn, Rows, ToolsEnv, show_verified
from attnkit.cli.terminal import complain, show_json


def verify(
    artefact: Annotated[Path, Parameter(help="Folder or .pyz file that `attn ship` made.")],
    /,
    *,
    run: Annotated[Path | None, Parameter(help="Its run; where it was shipped from, where left out.")] = None,
    budget: Budget = None,
    floor: Floor = None,
    max_loss: MaxLoss = None,
    rows: Rows = 2000,
    data: MeasuredOn = None,
    tools_env: ToolsEnv = None,
    allow_code: AllowProgram = False,
    json: Json = False,
) -> int:
    """Compare a shipped model, where it stands, with its run: logits, labels, its measure. Exit code 1 where it fails.

    For example:

        attn verify reviews.pyz
        attn verify reviews-int8 --run runs/2026-11-22-reviews --floor 0.9
    """
    from attnkit.ship.shipping import verify_shipped

    how: dict[str, Any] = {"floor": floor, "max_loss": max_loss, "rows": rows, "data": data, "tools_env": tools_env}
    how["allow_code"] = allow_code
    found = verify_shipped(artefact, run, budget=budget, **how)
    if json:
        show_json(found.to_dict())
    else:
        show_verified(found)
    if not found.passed:
        return complain(f"{artefact} does not answer as its run does: {'; '.join(found.problems)}.")
    return 0
