"""attn explain: which tokens a prediction rests on, each method with its verdict."""

from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.explanations import show_explanations
from attnkit.cli.options import AllowCode, Data, Force, Json, Out, Source, Text
from attnkit.cli.terminal import say, show_json


def explain(
    source: Source,
    /,
    *,
    text: Text = None,
    data: Data = None,
    rows: Annotated[int, Parameter(help="Rows of --data.")] = 10,
    method: Annotated[list[str] | None, Parameter(help="A method; may be given several times; all without.")] = None,
    out: Out = None,
    seed: Annotated[int, Parameter(help="Seed of the random rankings and of the redrawn weights.")] = 0,
    force: Force = False,
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Explain the label of texts token by token, and say of each method whether it is better than a random ranking.

    Methods: occlusion, gradient_attention, gradient_input, integrated_gradients, value_zeroing, rollout, attention and,
    as a control, random. A verdict stands on what the model says when the tokens ranked first are taken away, beside
    random rankings and beside the same method on redrawn weights; with few texts it says little, and says so.

    For example:

        attn explain runs/2026-11-22-reviews --text "Warm, funny and well acted."
        attn explain runs/2026-11-22-reviews --data reviews.csv --rows 20 --out page.html
        attn explain runs/2026-11-22-reviews --data reviews.csv --method occlusion --json
    """
    from attnkit.see.explanation import explained
    from attnkit.see.render import check_outs, write

    outs = check_outs(out or [], force)
    found, seen = explained(source, text or [], data, rows=rows, methods=method or [], seed=seed, allow_code=allow_code)
    written = [write(seen, path) for path in outs]
    if json:
        show_json({**found.to_dict(), "out": [str(path) for path in written]})
        return
    show_explanations(found)
    say(*(f"written to {path}" for path in written))
