"""Readers: from a path to tables of rows, each with its file and line."""

import os
from pathlib import Path

from attnkit.data.readers.files import did_you_mean_file, read_file
from attnkit.data.readers.folder import read_folder
from attnkit.data.table import Table
from attnkit.errors import UsageError

__all__ = ["check_there", "read"]


def read(path: str | os.PathLike[str]) -> dict[str, Table]:
    """The tables of a data file or folder: "all" where it is not split, else "train", "validation", "test".

    Files: CSV, TSV, JSON lines (each also .gz), JSON arrays, Parquet, Arrow. Folders: split files (train.*, dev.*,
    test.*), folders of class folders of .txt files, a saved Hugging Face dataset, or several unsplit files.
    Raises: UsageError, one sentence with the file and where possible the line.
    """
    where = check_there(path)
    return read_folder(where) if where.is_dir() else {"all": read_file(where)}


def check_there(path: str | os.PathLike[str]) -> Path:
    """The path of data, once it is known that something stands there.

    Raises: UsageError where nothing does.
    """
    where = Path(path)
    try:
        exists = where.exists()
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise UsageError(f"There is no file or folder {str(where)!r}; {did_you_mean_file(where)}.")
    return where
