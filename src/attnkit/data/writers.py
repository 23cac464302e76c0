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

TABLES = (".csv", ".tsv", ".jsonl", ".json")
KINDS = (*TABLES, ".txt")
_ALIKE = {".tab": ".tsv", ".ndjson": ".jsonl", ".parquet": ".jsonl", ".arrow": ".jsonl"}


def kind_of_file(path: Path, kinds: Sequence[str] = KINDS) -> tuple[str, bool]:
    """(".csv", ".tsv", ".jsonl", ".json" or ".txt", whether it is packed with gzip); columnar files become JSON lines.

    Raises: UsageError where the name ends in none of `kinds`.
    """
    ending = ".txt" if path.suffix.lower() == ".txt" else ending_of(path.name)
    kind = _ALIKE.get(ending.removesuffix(".gz"), ending.removesuffix(".gz"))
    if kind not in kinds:
        endings = f"{', '.join(kinds[:-1])} or {kinds[-1]}"
        raise UsageError(f"{path} has no ending of a format for this; name a file that ends in {endings}")
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
