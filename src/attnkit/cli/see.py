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
    rows: Annotated[int, Parameter(help="Rows of --data.")] = 4,
    out: Out = None,
    level: Annotated[
        Literal["stats", "maps", "full"], Parameter(help="How much to keep: numbers, maps in small, or all.")
    ] = "maps",
    statistic: Annotated[str, Parameter(help="What is told of the heads first, and colors a figure.")] = "entropy",
    layer: Annotated[str | None, Parameter(help="Show this layer.")] = None,
    head: Annotated[int | None, Parameter(help="Show this head of --layer.")] = None,
    generate: Annotated[int, Parameter(help="Let a decoder go on for so many tokens, and look at those too.")] = 0,
    budget: Annotated[str, Parameter(help="Most bytes of a page or an .attn file.")] = "1.5MB",
    live: Annotated[bool, Parameter(help="Serve a page where the text can be edited.", show_default=False)] = False,
    port: Annotated[int, Parameter(help="Port of --live on this machine; 0 for any that is free.")] = 0,
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
    from attnkit.see.live import serve
    from attnkit.see.look import seen_of
    from attnkit.see.render import check_outs, rendered, summary, write

    outs = check_outs(out or [], force)
    if live:
        serve(source, text or [], data, rows, port=port, budget=budget, allow_code=allow_code, say=say)
        return
    found = seen_of(source, text or [], data, rows=rows, level=level, generate=generate, allow_code=allow_code)
    written = [write(found, path, budget=budget, statistic=statistic, layer=layer, head=head) for path in outs]
    if json:
        show_json(summary(found, written))
    elif written:
        say(*found.notes, *(f"written to {path}" for path in written))
    else:
        print(rendered(found, width(), colors(), statistic=statistic, layer=layer, head=head))
