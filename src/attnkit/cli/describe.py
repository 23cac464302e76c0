"""attn describe: all there is to know about one operator."""

from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.terminal import say, show_json
from attnkit.errors import UsageError


def describe(
    name: Annotated[str, Parameter(help="A name of the catalogue (`attn list`).")], /, *, json: Json = False
) -> None:
    """Describe an operator: formula, source, cost, what it promises, and which key each query meets.

    For example:

        attn describe bahdanau
        attn describe longformer --json
    """
    from attnkit.attention.describe import describe as told
    from attnkit.attention.describe import description

    try:
        if json:
            show_json(description(name))
        else:
            say(told(name))
    except ValueError as error:
        raise UsageError(str(error)) from error
