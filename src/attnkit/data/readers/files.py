"""Which reader takes which file, by the end of its name."""

import difflib
from pathlib import Path

from attnkit.data.readers.arrow import read_arrow, read_parquet
from attnkit.data.readers.delimited import read_delimited
from attnkit.data.readers.json_lines import read_json
from attnkit.data.table import Table
from attnkit.errors import UsageError

_PLAIN = {".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json"}
ENDINGS = frozenset(_PLAIN | {f"{ending}.gz" for ending in _PLAIN} | {".parquet", ".arrow"})


def ending_of(name: str) -> str:
    """The end of a file name that says its format (".csv.gz"), or "" for any other."""
    lower = name.lower()
    return next((ending for ending in sorted(ENDINGS, key=len, reverse=True) if lower.endswith(ending)), "")


def stem_of(name: str) -> str:
    """The file name without the ending that says its format."""
    return name[: len(name) - len(ending_of(name))]


def read_file(path: Path) -> Table:
    """The rows of one file, by the end of its name.

    Raises: UsageError for an unknown ending and for whatever the reader refuses.
    """
    if not path.is_file():
        raise UsageError(f"{path} is neither a file nor a folder; give a data file.")
    ending = ending_of(path.name).removesuffix(".gz")
    if ending == ".csv":
        return read_delimited(path, ",")
    if ending in {".tsv", ".tab"}:
        return read_delimited(path, "\t")
    if ending in {".jsonl", ".ndjson", ".json"}:
        return read_json(path)
    if ending == ".parquet":
        return read_parquet(path)
    if ending == ".arrow":
        return read_arrow(path)
    raise UsageError(
        f"{path} has no ending that says its format; attnkit reads .csv, .tsv, .jsonl, .json (each also .gz), "
        ".parquet and .arrow."
    )


def did_you_mean_file(path: Path) -> str:
    """`did you mean ...` where a like name stands beside the missing one, else `check the name`."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except (OSError, ValueError):
        names = []
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"did you mean {str(path.parent / near[0])!r}" if near else "check the name"
