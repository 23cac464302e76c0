"""Rows as they stand in a file, each with the place it came from."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One record: its cells by column name, and the file and the line (from 1) where it begins."""

    values: dict[str, object]
    file: str
    line: int

    @property
    def place(self) -> str:
        """The place as `file:line`."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of one split; `notes` holds one sentence for each thing a reader decided or left out."""

    name: str
    columns: tuple[str, ...]
    rows: list[Row]
    notes: tuple[str, ...] = ()

    def cells(self, column: str) -> Iterator[object]:
        """The cells of one column, None where a row lacks it."""
        return (row.values.get(column) for row in self.rows)


def joined(name: str, tables: list[Table]) -> Table:
    """One table of several, columns in the order in which they first appear."""
    columns = tuple(dict.fromkeys(column for table in tables for column in table.columns))
    rows = [row for table in tables for row in table.rows]
    return Table(name, columns, rows, tuple(note for table in tables for note in table.notes))
