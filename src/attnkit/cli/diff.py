"""attn diff: what changed in which head between two models or two captures, beside what changes anyway."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Data, Force, Json, Out, Source, Text
from attnkit.cli.terminal import say, show_json


def diff(
    first: Source,
    second: Annotated[Path, Parameter(help="The other one, of the same kind.")],
    /,
    *,
    text: Text = None,
    data: Data = None,
    rows: Annotated[int, Parameter(help="Rows of --data.")] = 8,
    null: Annotated[
        list[Path] | None, Parameter(help="A third one that should count as no change; may be given several times.")
    ] = None,
    out: Out = None,
    force: Force = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Compare the attention of two models on the same texts, head by head, or two .attn files of the same texts.

    The divergence of a head's rows is 0 for equal maps and 1 for maps that share no key. Two equally good models of
    other seeds differ by 0.36 to 0.46, so that a change means something beside a null alone.

    For example:

        attn diff runs/before runs/after --data reviews.csv --null runs/another-seed
        attn diff before.attn after.attn --out both.html
    """
    from attnkit.see.compare import compared
    from attnkit.see.render import check_outs, write

    outs = check_outs(out or [], force)
    found, before, after = compared(first, second, text or [], data, null=null or [], rows=rows, allow_code=allow_code)
    written = [write(before, path, second=after) for path in outs]
    if json:
        show_json({**found.to_dict(), "out": [str(path) for path in written]})
        return
    print(found)
    say(*(f"written to {path}" for path in written))
