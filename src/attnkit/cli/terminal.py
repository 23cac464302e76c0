"""What a verb prints with: a console that is plain where nobody watches, tables, and JSON."""

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

# Files and pipes have no width: a table there is as wide as its content.
_WIDE = 400


def console() -> Console:
    """The console of standard output: no codes where it is no terminal or NO_COLOR is set."""
    plain = bool(os.environ.get("NO_COLOR"))
    width = None if sys.stdout.isatty() else _WIDE
    colors: Literal["auto"] | None = None if plain else "auto"
    return Console(file=sys.stdout, highlight=False, markup=False, emoji=False, width=width, color_system=colors)


def width() -> int | None:
    """Columns of the terminal; None where nobody watches."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def colors() -> bool:
    """True where codes of color may be written."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def say(*sentences: str, style: str = "") -> None:
    """Print each sentence on a line of its own."""
    for sentence in sentences:
        console().print(Text(sentence, style=style), soft_wrap=True)


def typed_or_piped() -> bytes:
    """Everything on standard input; somebody at a terminal is told what is waited for."""
    if sys.stdin.isatty():
        print("Type texts, one a line; end with Ctrl-D.", file=sys.stderr)
    return sys.stdin.buffer.read()


def complain(sentence: str) -> int:
    """Say on stderr why the command ends with exit code 1, and give that code."""
    print(f"attn: {sentence}", file=sys.stderr)
    return 1


def show_table(columns: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[str] = ()) -> None:
    """Print a table; columns named in `right` are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(str(cell)) for cell in row))
    shown = console()
    if shown.is_terminal:
        shown.print(table)
        return
    with shown.capture() as held:
        shown.print(table)
    print("\n".join(line.rstrip() for line in held.get().rstrip("\n").split("\n")))


def show_json(value: Any) -> None:
    """Print one JSON document, its letters as they are."""
    print(json.dumps(value, ensure_ascii=False, indent=1, default=str))
