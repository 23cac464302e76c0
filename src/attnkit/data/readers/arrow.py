"""Parquet and Arrow files through pyarrow, with the class names that Hugging Face keeps in their metadata."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attnkit.data.readers.source import GZIP, load_bytes
from attnkit.data.table import Row, Table
from attnkit.errors import UsageError

_CELLS = (str, int, float, bool, list, type(None))


def read_parquet(path: Path) -> Table:
    """The rows of a Parquet file; a row's line is its number, from 1.

    Raises: UsageError where pyarrow is missing or the file is damaged.
    """
    return _read(path, "Parquet", _parquet)


def read_arrow(path: Path) -> Table:
    """The rows of an Arrow file or stream; a row's line is its number, from 1.

    Raises: UsageError where pyarrow is missing or the file is damaged.
    """
    return _read(path, "Arrow", _arrow)


def _parquet(arrow: Any, content: bytes) -> Any:
    return importlib.import_module("pyarrow.parquet").ParquetFile(arrow.BufferReader(content)).read()


def _arrow(arrow: Any, content: bytes) -> Any:
    opened = arrow.ipc.open_file if content.startswith(b"ARROW1") else arrow.ipc.open_stream
    with opened(arrow.BufferReader(content)) as reader:
        return reader.read_all()


def _read(path: Path, kind: str, load: Callable[[Any, bytes], Any]) -> Table:
    try:
        arrow = importlib.import_module("pyarrow")
    except ImportError:
        raise UsageError(f"{path} needs pyarrow to be read; install it with: pip install 'attnkit[data]'.") from None
    content = load_bytes(path)
    if not content:
        raise UsageError(f"{path} is empty; it needs at least a row of data.")
    if content.startswith(GZIP):
        raise UsageError(f"{path} is gzip data; unpack it with gunzip, as {kind} packs its columns itself.")
    try:
        table = load(arrow, content)
        # Offsets in a damaged file can point outside it; nothing is read before they are checked.
        table.validate(full=True)
        names = [str(name) for name in table.column_names]
        cells = [_cells(table.column(number)) for number in range(len(names))]
        classes = _class_names(table.schema.metadata)
    except (arrow.ArrowException, OSError, ValueError, OverflowError, KeyError, TypeError, MemoryError) as error:
        lines = str(error).splitlines() or [type(error).__name__]
        raise UsageError(
            f"{path} is not a sound {kind} file ({lines[0][:120].rstrip('.')}); fetch or write it again."
        ) from None
    return _table(path, names, cells, classes)


def _table(path: Path, names: list[str], cells: list[list[object]], classes: dict[str, list[str]]) -> Table:
    twins = [name for number, name in enumerate(names) if name in names[:number]]
    if twins:
        raise UsageError(f"{path} names the column '{twins[0]}' twice; rename one of them.")
    if not cells or not cells[0]:
        raise UsageError(f"{path} holds no rows; add data to it.")
    for number, name in enumerate(names):
        if name in classes:
            cells[number] = [_named(cell, classes[name]) for cell in cells[number]]
    file = str(path)
    rows = [
        Row(dict(zip(names, values, strict=True)), file, line)
        for line, values in enumerate(zip(*cells, strict=True), start=1)
    ]
    return Table("all", tuple(names), rows)


def _cells(column: Any) -> list[object]:
    return [cell if isinstance(cell, _CELLS) else str(cell) for cell in column.to_pylist()]


def _class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """The class names by column, from the features that Hugging Face writes into a schema's metadata."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        inner = {name: feature.get("feature", feature) for name, feature in features.items()}
        found = {name: feature["names"] for name, feature in inner.items() if feature.get("_type") == "ClassLabel"}
        return {name: [str(label) for label in labels] for name, labels in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _named(cell: object, names: list[str]) -> object:
    """The name of a class number; Hugging Face's -1 (no label) becomes None."""
    if isinstance(cell, list):
        return [_named(item, names) for item in cell]
    if isinstance(cell, int) and not isinstance(cell, bool):
        return names[cell] if 0 <= cell < len(names) else None if cell == -1 else str(cell)
    return cell
