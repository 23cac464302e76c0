"""attn list: the catalogue of operators."""

from typing import Annotated

from cyclopts import Parameter

from attnkit.cli.options import Json
from attnkit.cli.terminal import complain, say, show_json, show_table


def list_(
    *words: Annotated[str, Parameter(help="Show the lines that hold all of these words.")],
    causal: Annotated[bool, Parameter(help="Causal operators alone.", show_default=False)] = False,
    json: Json = False,
) -> int:
    """List the catalogue: every operator by name, what it is and where it comes from.

    Exit code 1 where no line is left.

    For example:

        attn list
        attn list window --causal
        attn list bahdanau
    """
    from attnkit.attention.catalogue import CATALOGUE

    lines = []
    for name, entry in CATALOGUE.items():
        line = {"name": name, "what": entry.summary, "causal": entry.operator.claims().causal, "source": entry.source}
        found = " ".join(map(str, line.values())).lower()
        if all(word.lower() in found for word in words) and (line["causal"] or not causal):
            lines.append(line)
    if json:
        show_json(lines)
    if not lines:
        return complain(f"No operator of the catalogue is like {' '.join(words)!r}; attn list shows all.")
    if json:
        return 0
    shown = [(line["name"], line["what"], "causal" if line["causal"] else "", line["source"]) for line in lines]
    show_table(("name", "what it is", "", "source"), shown)
    say("", f"{len(lines)} of {len(CATALOGUE)} operators; more about one: attn describe NAME")
    return 0
