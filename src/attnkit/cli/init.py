"""attn init: the complete recipe for data, to look at and change before training."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import Force, Json
from attnkit.cli.settings import NOTHING_SET, Settings
from attnkit.cli.terminal import say, show_json


def init(
    data: Annotated[Path, Parameter(help="File or folder of the data.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="File to write.")] = Path("recipe.toml"),
    settings: Settings = NOTHING_SET,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write the complete recipe that training on this data would use, each choice with its reason.

    For example:

        attn init reviews.csv
        attn init reviews.csv --encoder transformer --out transformer.toml
        attn train --recipe recipe.toml
    """
    from attnkit.train.propose import propose, write_proposal

    proposal = propose(data, **settings.values())
    write_proposal(proposal, out, force)
    if json:
        show_json({"out": str(out), "recipe": proposal.recipe.to_plain(), "reasons": proposal.reasons})
        return
    say(*proposal.said)
    say(
        *(f"{field}: {reason}" for field, reason in proposal.reasons.items() if not field.startswith("data.")),
        style="dim",
    )
    say("", f"The recipe is in {out}; change what you like, then: attn train --recipe {out}")
