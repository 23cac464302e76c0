"""attn plan: which kernel an attention runs on, why not a faster one, and what it will cost."""

from typing import Annotated, Literal

from cyclopts import Parameter

from attnkit.cli.options import AllowCode, Json
from attnkit.cli.terminal import say, show_json


def plan(
    target: Annotated[str, Parameter(help="A name of the catalogue, a recipe (.toml), or your own `module:Name`.")],
    /,
    *,
    tokens: Annotated[int, Parameter(help="Queries, and keys where --keys is not given.")] = 2048,
    keys: Annotated[int | None, Parameter(help="Keys, where not as many as queries.")] = None,
    batch: Annotated[int, Parameter(help="Sequences in a batch.")] = 1,
    heads: Annotated[int, Parameter(help="Query heads.")] = 8,
    key_heads: Annotated[int | None, Parameter(help="Key/value heads, where fewer.")] = None,
    width: Annotated[int, Parameter(help="Width of a head.")] = 64,
    value_width: Annotated[int | None, Parameter(help="Width of a value head, where another.")] = None,
    dtype: Annotated[Literal["float32", "float64", "bfloat16", "float16"], Parameter(help="Number type.")] = "float32",
    infer: Annotated[bool, Parameter(help="Forward alone, without gradients.", show_default=False)] = False,
    dropout: Annotated[bool, Parameter(help="With dropout on the weights.", show_default=False)] = False,
    padding: Annotated[bool, Parameter(help="With padding somewhere.", show_default=False)] = False,
    lengths: Annotated[bool, Parameter(help="With numbers of real keys given.", show_default=False)] = False,
    kernel: Annotated[str, Parameter(help="Ask for this kernel; an error says why it cannot.")] = "auto",
    allow_code: AllowCode = False,
    json: Json = False,
) -> None:
    """Say which kernel an attention runs on, why not on a faster one, its multiply-adds and its peak memory.

    The sizes and the precision that a recipe names go before those given here.

    For example:

        attn plan longformer --tokens 8192
        attn plan vaswani --dropout
        attn plan recipe.toml --json
    """
    from attnkit.run.plans import Sizes, plans

    sizes = Sizes(
        batch, heads, key_heads, tokens, keys, width, value_width, dtype, not infer, dropout, padding, lengths
    )
    planned = plans(target, sizes, kernel, allow_code)
    if json:
        show_json([one.to_dict() for one in planned])
        return
    for index, one in enumerate(planned):
        there = one.situation
        passes = "forward and backward" if there.needs_grad else "forward"
        shape = f"batch {there.batch}, {there.heads} heads of {there.width}, {there.T} queries on {there.S} keys"
        say(*[""] * bool(index), f"{one.name}: {shape}, {str(there.dtype).partition('.')[2]}, {passes}", str(one.plan))
