"""Label cells: what they are (classes, several classes, scores) and their one written form."""

import json
import math
import re
from collections.abc import Iterable

from attnkit.data.table import Row
from attnkit.errors import UsageError

KINDS = ("single", "multi", "score")
SEPARATOR = "|"
FEW_CLASSES = 20
ROWS_PER_CLASS = 5
_OTHER_SEPARATORS = (";", ",")
_INTEGRAL = re.compile(r"(-?[0-9]+)\.0+")
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")

Label = str | tuple[str, ...] | float | None


def is_missing(cell: object) -> bool:
    """Whether a cell holds no label: None, NaN, blank text or the text nan."""
    if isinstance(cell, str):
        return not cell.strip() or cell.strip().lower() == "nan"
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def number_in(cell: object) -> float | None:
    """The finite number that a cell holds, as a number or as text, or None."""
    if isinstance(cell, bool):
        return None
    if isinstance(cell, str) and not _NUMBER.fullmatch(cell.strip()):
        return None
    try:
        number = float(cell) if isinstance(cell, (int, float, str)) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def class_name(cell: object) -> str:
    """The one written form of a class: 1, 1.0 and "1.0" are all the class "1"."""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    text = str(cell).strip()
    match = _INTEGRAL.fullmatch(text)
    return match[1] if match else text


def listed(cell: object) -> list[object] | None:
    """The labels of a cell that is a list, or the text of a JSON list; None for any other cell."""
    if isinstance(cell, list):
        return cell
    if isinstance(cell, str) and cell.strip().startswith("[") and cell.strip().endswith("]"):
        try:
            value = json.loads(cell)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, list) else None
    return None


def kind_of(cells: list[object]) -> tuple[str, str]:
    """The kind of the labels in these cells (none of them missing) and the reason, as half a sentence."""
    if any(listed(cell) is not None for cell in cells):
        return "multi", "its cells are lists"
    if _is_separated(cells):
        return "multi", f"its cells hold several labels parted by '{SEPARATOR}'"
    numbers = [number_in(cell) for cell in cells]
    if not numbers or any(number is None for number in numbers):
        return "single", "each cell is one name"
    distinct = {number for number in numbers if number is not None}
    if any(not number.is_integer() for number in distinct):
        return "score", "its cells are numbers with fractions"
    if len(distinct) <= FEW_CLASSES or len(cells) >= ROWS_PER_CLASS * len(distinct):
        return "single", f"its cells are whole numbers with only {len(distinct)} different values"
    return "score", f"its cells are whole numbers with {len(distinct)} different values"


def separator_of(cells: Iterable[object]) -> str | None:
    """The sign that parts the labels in text cells: the bar, else a semicolon, else a comma, else None."""
    joined = [cell for cell in cells if isinstance(cell, str) and listed(cell) is None]
    return next((sign for sign in (SEPARATOR, *_OTHER_SEPARATORS) if any(sign in cell for cell in joined)), None)


def to_label(row: Row, column: str, kind: str, separator: str | None) -> Label:
    """The label of a row as its kind wants it: a class, a tuple of classes (sorted), a number; None where missing.

    An empty cell between separators, and an empty list, mean "none of the classes": the empty tuple.
    Raises: UsageError where the cell cannot be that, with file and line.
    """
    cell = row.values.get(column)
    if kind == "multi":
        return _several(row, column, cell, separator)
    if is_missing(cell):
        return None
    if kind == "score":
        number = number_in(cell)
        if number is None:
            raise UsageError(
                f"{row.place} the column '{column}' holds {_shown(cell)} where a number is needed; mend it."
            )
        return number
    if isinstance(cell, (list, dict)):
        raise UsageError(
            f"{row.place} the column '{column}' holds {_shown(cell)} where one label is needed; "
            "mend it, or say --kind multi if rows have several labels."
        )
    return class_name(cell)


def _several(row: Row, column: str, cell: object, separator: str | None) -> tuple[str, ...] | None:
    parts = listed(cell)
    if parts is None:
        if is_missing(cell):
            return () if separator is not None and isinstance(cell, str) else None
        if isinstance(cell, dict):
            raise UsageError(f"{row.place} the column '{column}' holds an object where a list is needed; mend it.")
        parts = list(cell.split(separator)) if isinstance(cell, str) and separator else [cell]
        parts = [part for part in parts if not is_missing(part)]
    if any(isinstance(part, (list, dict)) or is_missing(part) for part in parts):
        raise UsageError(f"{row.place} the column '{column}' holds {_shown(cell)}, not a list of labels; mend it.")
    return tuple(sorted({class_name(part) for part in parts}))


def _is_separated(cells: list[object]) -> bool:
    """Whether bars part labels: some cell holds one, and the parts recur as whole cells or in other cells."""
    texts = [cell for cell in cells if isinstance(cell, str)]
    barred = [cell for cell in texts if SEPARATOR in cell]
    if not barred or len(texts) != len(cells):
        return False
    parts = [part.strip() for cell in texts for part in cell.split(SEPARATOR)]
    return all(len(part) <= 60 for part in parts) and len(set(parts)) < len(parts)


def _shown(cell: object) -> str:
    text = repr(cell)
    return text if len(text) <= 40 else f"{text[:37]}..."
