"""attn init: the complete recipe for data, to look at and change before training."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from attnkit.cli.options import Force, Json
from attnkit.cli.terminal import say, show_json

Maybe = str | None


def init(
    data: Annotated[Path, Parameter(help="File or folder of the data.")],
    /,
    *,
    out: Annotated[Path, Parameter(help="File to write.")] = Path("recipe.toml"),
    text: Annotated[Maybe, Parameter(help="Column of the texts; inferred and said where left out.")] = None,
    pair: Annotated[Maybe, Parameter(help="Column of the second texts, where texts come in pairs.")] = None,
    label: Annotated[Maybe, Parameter(help="Column of the labels; inferred and said where left out.")] = None,
    kind: Annotated[
        Literal["single", "multi", "score"] | None, Parameter(help="Kind of label: one, several, a number.")
    ] = None,
    attention: Annotated[
        Maybe, Parameter(help="Operator (`attn list`): in a transformer's layers, else as pooling.")
    ] = None,
    encoder: Annotated[Maybe, Parameter(help="What reads the words: bilstm, cnn, transformer or none.")] = None,
    set_: Annotated[
        tuple[str, ...],
        Parameter(name="--set", help="Any recipe field, as field=value; may be repeated.", show_default=False),
    ] = (),
    force: Force = False,
    json: Json = False,
) -> None:
    """Write the complete recipe that training on this data would use, each choice with its reason.

    For example:

        attn init reviews.csv
        attn init reviews.csv --encoder transformer --out transformer.toml
        attn train --recipe recipe.toml
    """
    from attnkit.train.overrides import overrides
    from attnkit.train.propose import propose, write_proposal

    named = {"label": label, "kind": kind, "encoder": encoder}
    proposal = propose(data, **overrides(set_, text=text, pair=pair, attention=attention, **named))
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
