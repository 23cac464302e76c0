"""attn see: where a model attends, layer by layer and head by head, on its own kernel."""

from typing import Annotated, Literal

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Data, Force, Json, Out, Source, Text
from attnkit.cli.terminal import colors, say, show_json, width


def see(
    source: Source,
    /,
    *,
    text: Text = None,
    data: Data = None,
    rows: Annotated[int | None, Parameter(help="Rows of --data; 4 where left out.")] = None,
    out: Out = None,
    level: Annotated[
        Literal["stats", "maps", "full"] | None,
        Parameter(help="How much to keep: numbers (stats), maps in small too (maps, where left out), or all (full)."),
    ] = None,
    statistic: Annotated[str | None, Parameter(help="What is told first, and colors a figure; else entropy.")] = None,
    layer: Annotated[str | None, Parameter(help="Show this layer.")] = None,
    head: Annotated[int | None, Parameter(help="Show this head of --layer.")] = None,
    generate: Annotated[int | None, Parameter(help="Let a decoder go on for so many tokens, seen too.")] = None,
    budget: Annotated[
        str | None, Parameter(help="Most bytes of a page or an .attn file; 1.5MB where left out.")
    ] = None,
    live: Annotated[bool, Parameter(help="Serve a page where the text can be edited.", show_default=False)] = False,
    port: Annotated[int | None, Parameter(help="Port of --live on this machine; a free one where left out.")] = None,
    force: Force = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Look at what a model attends to: entropy, reach, sinks, roles and maps of every head, checked against its kernel.

    The model runs on its own attention and answers as it always does. Without --out the answer is a table in the
    terminal.

    For example:

        attn see runs/2026-11-22-reviews --text "Warm, funny and well acted."
        attn see runs/2026-11-22-reviews --data reviews.csv --out page.html
        attn see path/to/model --text "The cat sat on the mat." --out page.html --out seen.attn
        attn see seen.attn --out head.png --layer encoder.layer.3.attention.self --head 2
    """
    from attnkit.see.asked import Picked, check_asked
    from attnkit.see.live import serve
    from attnkit.see.look import seen_of
    from attnkit.see.render import check_outs, rendered, summary, write

    words, picked = text or [], Picked(statistic, layer, head)
    given = {"rows": rows, "level": level, **vars(picked), "generate": generate, "budget": budget, "port": port}
    check_asked(source, words, data, out or [], live, {**given, "force": force, "json": json} if live else given)
    if live:
        serve(source, words, data, port=port or 0, budget=budget, allow_code=allow_code, say=say)
        return
    outs = check_outs(out or [], force)
    found = seen_of(source, words, data, rows=rows, level=level, generate=generate or 0, allow_code=allow_code)
    written = [write(found, path, picked, budget=budget) for path in outs]
    if json:
        show_json(summary(found, written))
    elif written:
        say(*found.notes, *(f"written to {path}" for path in written))
    else:
        print(rendered(found, width(), colors(), picked))
