"""A folder with one folder a class, each holding one text a file (`pos/1.txt`, `neg/1.txt`)."""

from pathlib import Path

from attnkit.data.readers.source import load_bytes, load_text
from attnkit.data.table import Row, Table
from attnkit.errors import UsageError

_UNLABELED = {"unsup", "unlabeled", "unlabelled"}


def is_class_folder(folder: Path) -> bool:
    """Whether a folder holds texts (`.txt` or `.txt.gz`)."""
    try:
        return any(_is_text(entry) for entry in folder.iterdir())
    except OSError:
        return False


def read_class_folders(folder: Path) -> Table:
    """One row a file, with the columns text and label, the label being the folder's name.

    Folders named unsup, unlabeled or unlabelled are left out and named in the notes.
    Raises: UsageError for a text that cannot be read as UTF-8.
    """
    rows: list[Row] = []
    notes = []
    for entry in sorted(folder.iterdir()):
        if not entry.is_dir() or not is_class_folder(entry):
            continue
        if entry.name.lower() in _UNLABELED:
            notes.append(f"The folder {entry} is left out, as its texts have no label.")
            continue
        for file in sorted(inner for inner in entry.iterdir() if _is_text(inner)):
            rows.append(Row({"text": _text(file), "label": entry.name}, str(file), 1))
    if not rows:
        raise UsageError(f"{folder} holds no class folders with texts; add a folder of .txt files for each class.")
    return Table("all", ("text", "label"), rows, tuple(notes))


def _text(file: Path) -> str:
    # An empty text is a fact about the data, for the checks to report, and no damaged file.
    return load_text(file).strip() if load_bytes(file).strip() else ""


def _is_text(entry: Path) -> bool:
    return entry.is_file() and not entry.name.startswith(".") and entry.name.lower().endswith((".txt", ".txt.gz"))
