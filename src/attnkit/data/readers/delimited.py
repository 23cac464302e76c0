"""CSV and TSV through the standard library's csv, with the line on which each record begins."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from attnkit.data.readers.source import load_text
from attnkit.data.table import Row, Table
from attnkit.errors import UsageError

LONGEST_CELL = 10_000_000
LONGEST_NAME = 80
_HEADER_SAMPLE = 1000
_DELIMITERS = (",", ";", "\t")
_WORDS = {",": "commas", ";": "semicolons", "\t": "tabs"}

Records = list[tuple[int, list[str]]]


def read_delimited(path: Path, delimiter: str) -> Table:
    """The rows of a CSV (`delimiter=","`) or TSV (`"\\t"`) file whose first line names the columns.

    Semicolons or tabs are taken where the header holds them and no `delimiter`.
    Raises: UsageError for ragged rows, open quotes, a missing header, twin column names, with file and line.
    """
    text = load_text(path)
    used, notes = _delimiter(path, text, delimiter)
    records = _tab_records(path, text) if used == "\t" else list(_records(path, text, used, quotes=True))
    (header_line, header), body = records[0], records[1:]
    columns = _column_names(path, header_line, header)
    if not body:
        raise UsageError(f"{path} holds a header ({', '.join(columns)}) and no rows; add data below it.")
    _check_width(path, columns, body, used)
    _check_header(path, header_line, header, body)
    file = str(path)
    rows = [Row(dict(zip(columns, cells, strict=True)), file, line) for line, cells in body]
    return Table("all", columns, rows, notes)


def _delimiter(path: Path, text: str, expected: str) -> tuple[str, tuple[str, ...]]:
    header = text.lstrip("\r\n").split("\n", 1)[0]
    if expected in header:
        return expected, ()
    best = max(_DELIMITERS, key=header.count)
    if not header.count(best):
        return expected, ()
    return best, (f"The cells of {path} are parted by {_WORDS[best]}.",)


def _records(path: Path, text: str, delimiter: str, quotes: bool) -> Iterator[tuple[int, list[str]]]:
    """Each record with its first line; blank lines are skipped."""
    limit = csv.field_size_limit(LONGEST_CELL)
    begin = 1
    try:
        lines = io.StringIO(text, newline="")
        reader = csv.reader(
            lines,
            delimiter=delimiter,
            quoting=csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE,
            strict=quotes,
        )
        for cells in reader:
            if cells:
                yield begin, cells
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(f"{path}:{begin} {_reason(str(error))}.") from None
    finally:
        csv.field_size_limit(limit)


def _reason(message: str) -> str:
    if "unexpected end of data" in message:
        return 'opens a quote (") that is never closed; close it, or double each quote inside a quoted cell'
    if "field larger" in message:
        return f'holds a cell of more than {LONGEST_CELL:,} characters; look for a quote (") that is never closed'
    if "expected after" in message:
        return 'has text behind a closing quote ("); double each quote inside a quoted cell'
    return f"is not valid CSV ({message}); quote the cell"


def _tab_records(path: Path, text: str) -> Records:
    """Tab-separated records: quotes are plain characters where every line then has the header's width.

    Many TSV files quote nothing and hold stray quotes; others are written by CSV tools and hold line breaks in quotes.
    """
    plain = list(_records(path, text, "\t", quotes=False))
    if all(len(cells) == len(plain[0][1]) for _, cells in plain):
        return [(line, [_unquoted(cell) for cell in cells]) for line, cells in plain]
    try:
        quoted = list(_records(path, text, "\t", quotes=True))
    except UsageError:
        return plain
    whole = all(len(cells) == len(quoted[0][1]) for _, cells in quoted)
    return quoted if whole else plain


def _unquoted(cell: str) -> str:
    if len(cell) < 2 or cell[0] != '"' or cell[-1] != '"':
        return cell
    inner = cell[1:-1]
    return cell if '"' in inner.replace('""', "") else inner.replace('""', '"')


def _column_names(path: Path, line: int, header: list[str]) -> tuple[str, ...]:
    """The names of the header; an unnamed column, as pandas writes its index, gets its number for a name."""
    if not any(cell.strip() for cell in header):
        raise UsageError(f"{path}:{line} should name the columns and is blank; begin with a line such as text,label.")
    columns = tuple(cell.strip() or f"column {number}" for number, cell in enumerate(header, start=1))
    twins = [name for number, name in enumerate(columns) if name in columns[:number]]
    if twins:
        raise UsageError(f"{path}:{line} names the column '{twins[0]}' twice; rename one of them.")
    return columns


def _check_width(path: Path, columns: tuple[str, ...], body: Records, delimiter: str) -> None:
    for line, cells in body:
        if len(cells) != len(columns):
            raise UsageError(
                f"{path}:{line} has {len(cells)} cells where the header names {len(columns)} columns "
                f"({_short(', '.join(columns))}); quote cells that hold {_WORDS[delimiter]}, or mend the line."
            )


def _check_header(path: Path, line: int, header: list[str], body: Records) -> None:
    for number, cells in body:
        if cells == header:
            raise UsageError(f"{path}:{number} repeats the header of line {line}; remove it.")
    for number, name in enumerate(header):
        again = sum(cells[number] == name for _, cells in body[:_HEADER_SAMPLE])
        if _is_number(name) or len(name) > LONGEST_NAME or (name.strip() and again > 1):
            raise UsageError(
                f"{path}:{line} looks like data ('{_short(name)}') where the column names should stand; "
                "put a line such as text,label above it."
            )


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[: LONGEST_NAME - 3]}..."
