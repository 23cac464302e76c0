"""attn check: what to know about data before training on it."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.terminal import complain, say, show_json, show_table

Maybe = str | None
_MOST_CLASSES = 30


def check(
    data: Annotated[Path, Parameter(help="File or folder of the data.")],
    /,
    *,
    text: Annotated[Maybe, Parameter(help="Column of the texts; inferred and said where left out.")] = None,
    pair: Annotated[Maybe, Parameter(help="Column of the second texts, where texts come in pairs.")] = None,
    label: Annotated[Maybe, Parameter(help="Column of the labels; inferred and said where left out.")] = None,
    kind: Annotated[
        Literal["single", "multi", "score"] | None, Parameter(help="Kind of label: one, several, a number.")
    ] = None,
    max_tokens: Annotated[int | None, Parameter(help="Say how many texts this limit on length would cut.")] = None,
    json: Json = False,
) -> int:
    """Check data without training: columns, rows, labels, empty and repeated texts, overlap between splits.

    Exit code 1 where something would keep training from starting.

    For example:

        attn check reviews.csv
        attn check reviews.csv --text body --label stars --max-tokens 256
    """
    from attnkit.data.report import report

    found = report(data, text=text, label=label, kind=kind, pair=pair, max_tokens=max_tokens)
    errors = len(found.errors)
    verdict = f"{errors} {'thing keeps' if errors == 1 else 'things keep'} training on {data} from starting; see above."
    if json:
        show_json(found.to_dict())
        return complain(verdict) if errors else 0
    say(*found.schema.said, "")
    numbers = ("rows", "median tokens", "longest")
    rows = [(split.name, split.rows, split.median_tokens, split.longest_tokens) for split in found.splits]
    show_table(("split", *numbers), rows, right=numbers)
    classes = list(dict.fromkeys(name for split in found.splits for name in split.labels))
    if 0 < len(classes) <= _MOST_CLASSES:
        names = tuple(split.name for split in found.splits)
        counts = [(name, *(split.labels.get(name, 0) for split in found.splits)) for name in classes]
        say("")
        show_table(("class", *names), counts, right=names)
    say("")
    for finding in found.findings:
        say(f"{finding.level}: {finding.sentence}", style="bold red" if finding.level == "error" else "")
    if errors:
        return complain(verdict)
    say("Nothing keeps training from starting.")
    return 0
