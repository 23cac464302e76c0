"""attn heads: what every head of a model does, with the evidence."""

from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Data, Json, Source, Text
from attnkit.cli.terminal import say, show_json, show_table


def heads(
    source: Source,
    /,
    *,
    text: Text = None,
    data: Data = None,
    rows: Annotated[int, Parameter(help="Rows of --data.")] = 16,
    ablate: Annotated[
        bool, Parameter(help="Also say what silencing each head costs the predictions.", show_default=False)
    ] = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Name what each head does: sink, previous or next token, local, induction and others, beside its chance level.

    A head has a name where its score is well above what equal weights on all visible keys would give. With several
    texts the spread over them is told.

    For example:

        attn heads path/to/model --data sentences.txt
        attn heads runs/2026-11-22-reviews --data reviews.csv --ablate
        attn heads seen.attn --json
    """
    from attnkit.see.heads import heads_of

    table, effects = heads_of(source, text or [], data, rows=rows, ablate=ablate, allow_code=allow_code)
    if json:
        show_json({"heads": table, "ablation": [one.to_dict() for one in effects]})
        return
    lines = [
        (row["layer"], row["head"], row["role"] or "–", _figure(row["score"]), _figure(row["chance"]), row["evidence"])
        for row in table
    ]
    show_table(("layer", "head", "role", "score", "chance", "evidence"), lines, right=("head", "score", "chance"))
    if not table:
        say("no layer in which a text attends to itself was seen, and roles are of such heads alone")
    if effects:
        say("", "What silencing a head costs (log-odds of the predicted class, with a 95 % interval over texts):")
        costs = [
            (
                one.layer,
                one.head,
                f"{one.value.value:.3f} [{one.value.low:.3f}, {one.value.high:.3f}]",
                f"{one.changed:.0%}",
            )
            for one in effects
        ]
        show_table(("layer", "head", "lost", "labels changed"), costs, right=("head", "lost", "labels changed"))


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
