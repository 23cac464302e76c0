"""Order: where each row stands among the others by a column, so that a split can part early rows from late ones."""

from collections.abc import Sequence

from attnkit.data.labels import is_missing, number_in
from attnkit.data.table import Table
from attnkit.errors import UsageError

Order = float | str


def orders_of(table: Table, column: str) -> Sequence[Order]:
    """The cells of `column`: numbers where each is one (7, "12.5"), and text otherwise, as in dates (2026-11-26).

    Raises: UsageError where there is no such column, or a cell of it is empty or a list.
    """
    if column not in table.columns:
        file = table.rows[0].file if table.rows else f"The {table.name} split"
        raise UsageError(
            f"{file} has no column '{column}' to order its rows by (it has {', '.join(table.columns)}); "
            "give another data.validation_order."
        )
    cells = list(table.cells(column))
    for row, cell in zip(table.rows, cells, strict=True):
        if is_missing(cell) or isinstance(cell, (list, dict)):
            what = "is empty" if is_missing(cell) else "is no number or text"
            raise UsageError(
                f"{row.place} the column '{column}' {what}, and the validation rows are chosen by its order; "
                "fill it, or give another data.validation_order."
            )
    numbers = [number_in(cell) for cell in cells]
    plain = [number for number in numbers if number is not None]
    return plain if len(plain) == len(cells) else [str(cell) for cell in cells]
