"""Rows back into a file of the kind they came from, with columns added."""

import csv
import gzip
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attnkit.data.readers.files import ending_of
from attnkit.errors import UsageError

KINDS = (".csv", ".tsv", ".jsonl", ".json", ".txt")
_ALIKE = {".tab": ".tsv", ".ndjson": ".jsonl", ".parquet": ".jsonl", ".arrow": ".jsonl"}


def kind_of_file(path: Path) -> tuple[str, bool]:
    """(".csv", ".tsv", ".jsonl", ".json" or ".txt", whether it is packed with gzip); columnar files become JSON lines.

    Raises: UsageError where the name ends in none of them.
    """
    ending = ".txt" if path.suffix.lower() == ".txt" else ending_of(path.name)
    kind = _ALIKE.get(ending.removesuffix(".gz"), ending.removesuffix(".gz"))
    if kind not in KINDS:
        raise UsageError(f"{path} has no ending that says its format; name a file that ends in {', '.join(KINDS)}")
    return kind, ending.endswith(".gz")


def written(kind: str, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """The rows as the text of a file; a .txt line holds the cells with tabs between them."""
    if kind == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if kind == ".json":
        return json.dumps(list(rows), ensure_ascii=False, indent=1) + "\n"
    if kind == ".txt":
        return "".join("\t".join(_cell(row.get(column)) for column in columns) + "\n" for row in rows)
    out = io.StringIO()
    writer = csv.writer(out, delimiter="," if kind == ".csv" else "\t", lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([_cell(row.get(column)) for column in columns] for row in rows)
    return out.getvalue()


def packed(text: str, gzipped: bool) -> bytes:
    """The bytes of a file; the same text always gives the same bytes."""
    content = text.encode("utf-8", "surrogatepass")
    return gzip.compress(content, mtime=0) if gzipped else content


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
