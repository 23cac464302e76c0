"""Examples: rows read through a schema, ready for a task."""

from dataclasses import dataclass

from attnkit.data.labels import Label, to_label
from attnkit.data.order import orders_of
from attnkit.data.schema import Schema
from attnkit.data.table import Row, Table
from attnkit.errors import UsageError


@dataclass(frozen=True, slots=True)
class Example:
    """One text (or pair of texts), its label (None where it has none) and the place it came from.

    `order` says where it stands among the others, where a split goes by that (None where it does not).
    """

    text: str
    pair: str | None
    label: Label
    file: str
    line: int
    order: float | str | None = None

    @property
    def place(self) -> str:
        """The place as `file:line`."""
        return f"{self.file}:{self.line}"

    @property
    def content(self) -> tuple[str, str | None]:
        """What makes two examples the same text: both texts, without the white space around them."""
        return self.text.strip(), None if self.pair is None else self.pair.strip()


def to_examples(table: Table, schema: Schema, order: str = "") -> list[Example]:
    """The rows of a table as examples, in order; the cells of the column `order`, if any, become their `order`.

    Raises: UsageError where a text or label cell is of a wrong type, or a cell of `order` is empty, with file and line.
    """
    first, second = schema.text[0], schema.text[1] if len(schema.text) == 2 else None
    for column in schema.text:
        if column not in table.columns:
            file = table.rows[0].file if table.rows else f"The {table.name} split"
            raise UsageError(f"{file} has no column '{column}' (it has {', '.join(table.columns)}); rename or add it.")
    orders = orders_of(table, order) if order else [None] * len(table.rows)
    return [
        Example(
            text=_text(row, first),
            pair=None if second is None else _text(row, second),
            label=_label(row, schema),
            file=row.file,
            line=row.line,
            order=place,
        )
        for row, place in zip(table.rows, orders, strict=True)
    ]


def _text(row: Row, column: str) -> str:
    cell = row.values.get(column)
    if isinstance(cell, str):
        return cell
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, (list, dict)):
        kind = "a list" if isinstance(cell, list) else "an object"
        raise UsageError(
            f"{row.place} the column '{column}' holds {kind} where a text is needed; join its parts, "
            "or name another column with --text."
        )
    return str(cell)


def _label(row: Row, schema: Schema) -> Label:
    if schema.label is None or schema.label not in row.values:
        return None
    label = to_label(row, schema.label, schema.kind, schema.separator)
    # Where -1 is no class it is the usual mark of a hidden label.
    return None if label == "-1" and "-1" not in schema.classes else label
