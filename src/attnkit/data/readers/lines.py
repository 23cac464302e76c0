"""Texts alone: the lines of a .txt file, or the rows of any other data."""

from pathlib import Path

from attnkit.data.readers.source import load_text
from attnkit.data.table import Row, Table

TEXT = "text"


def read_lines(path: Path) -> Table:
    """A .txt or .txt.gz file as a table with one text a line; blank lines are passed over.

    Raises: UsageError where it cannot be read, is empty or is not UTF-8.
    """
    lines = load_text(path).split("\n")
    rows = [Row({TEXT: line.rstrip("\r")}, str(path), number) for number, line in enumerate(lines, 1) if line.strip()]
    return Table("all", (TEXT,), rows)


def holds_lines(path: Path) -> bool:
    """True where the name of a file says that it holds one text a line."""
    return path.is_file() and path.name.lower().endswith((".txt", ".txt.gz"))
