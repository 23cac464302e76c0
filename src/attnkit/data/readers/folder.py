"""Folders of data: split files, split folders, class folders of texts, saved Hugging Face datasets."""

import re
from dataclasses import replace
from pathlib import Path

from attnkit.data.readers.class_folders import is_class_folder, read_class_folders
from attnkit.data.readers.files import ending_of, read_file, stem_of
from attnkit.data.readers.hugging_face import is_saved_dataset, read_saved_dataset
from attnkit.data.table import Table, joined
from attnkit.errors import UsageError

SPLITS = {
    "train": "train",
    "training": "train",
    "dev": "validation",
    "devel": "validation",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
_SHARD = re.compile(r"-\d+-of-\d+$")
_SHOWN = 8


def split_of(name: str) -> str | None:
    """The split that a stem or folder name means (`dev`, `train-00000-of-00002`), or None."""
    return SPLITS.get(_SHARD.sub("", name).lower())


def read_folder(folder: Path) -> dict[str, Table]:
    """The tables of a folder, by split, or "all" where nothing in it names a split.

    Raises: UsageError where the folder holds no data, or two files that both claim to be one split.
    """
    entries = _entries(folder)
    if is_saved_dataset(folder):
        return _by_split(folder, read_saved_dataset(folder))
    files = [entry for entry in entries if entry.is_file() and ending_of(entry.name)]
    folders = [entry for entry in entries if entry.is_dir()]
    if any(split_of(stem_of(file.name)) for file in files):
        return _split_files(folder, files)
    split_folders = [entry for entry in folders if split_of(entry.name)]
    if split_folders:
        return _split_folders(folder, split_folders)
    if any(is_class_folder(entry) for entry in folders):
        return {"all": read_class_folders(folder)}
    if files:
        return {"all": _together(folder, files)}
    if folder / "data" in folders:
        return read_folder(folder / "data")
    names = [entry.name for entry in entries]
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    raise UsageError(
        f"{folder} holds no data that attnkit reads ({shown or 'it is empty'}); it needs train.* and test.* files, "
        "or a folder of .txt files for each class."
    )


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise UsageError(f"{folder} cannot be listed ({error.strerror or error}); check its rights.") from None


def _split_files(folder: Path, files: list[Path]) -> dict[str, Table]:
    found: dict[str, list[Path]] = {}
    left_out = []
    for file in files:
        split = split_of(stem_of(file.name))
        if split is None:
            left_out.append(file.name)
        else:
            found.setdefault(split, []).append(file)
    tables = {}
    for split, parts in found.items():
        if len({(_SHARD.sub("", stem_of(part.name)), ending_of(part.name)) for part in parts}) > 1:
            raise UsageError(
                f"{parts[0]} and {parts[1].name} both claim to be the {split} split; keep one of them in the folder."
            )
        tables[split] = joined(split, [read_file(part) for part in parts])
    return _noted(tables, _left_out(folder, left_out, "its name is no split", "their names are no split"))


def _split_folders(folder: Path, entries: list[Path]) -> dict[str, Table]:
    pairs: list[tuple[str, Table]] = []
    for entry in entries:
        inner = read_folder(entry)
        if len(inner) > 1 or not set(inner) <= {"all", split_of(entry.name)}:
            raise UsageError(f"{entry} is itself divided into {', '.join(inner)}; give one of them, or {entry} alone.")
        pairs.extend((entry.name, table) for table in inner.values())
    return _by_split(folder, pairs)


def _by_split(folder: Path, named: list[tuple[str, Table]]) -> dict[str, Table]:
    tables: dict[str, Table] = {}
    left_out = []
    if len(named) == 1 and split_of(named[0][0]) is None:
        return {"all": replace(named[0][1], name="all")}
    for name, table in named:
        split = split_of(name)
        if split is None:
            left_out.append(name)
        elif split in tables:
            raise UsageError(f"{folder} holds the {split} split twice ({name} and another); keep one of them.")
        else:
            tables[split] = replace(table, name=split)
    if not tables:
        raise UsageError(f"{folder} holds {', '.join(left_out)} and no train split; name one of them train.")
    return _noted(tables, _left_out(folder, left_out, "its name is no split", "their names are no split"))


def _together(folder: Path, files: list[Path]) -> Table:
    """Files of one format and one set of columns, one after another."""
    tables = [read_file(file) for file in files]
    for file, table in zip(files[1:], tables[1:], strict=True):
        if set(table.columns) != set(tables[0].columns):
            raise UsageError(
                f"{file} has the columns {', '.join(table.columns)} and {files[0].name} has "
                f"{', '.join(tables[0].columns)}; name them train.* and test.*, or give one file."
            )
    whole = joined("all", tables)
    if len(files) == 1:
        return whole
    names = ", ".join(file.name for file in files)
    return replace(whole, notes=(*whole.notes, f"The {len(files)} files of {folder} are read as one ({names})."))


def _left_out(folder: Path, names: list[str], one: str, several: str) -> str | None:
    if not names:
        return None
    verb, reason = ("is", one) if len(names) == 1 else ("are", several)
    return f"{', '.join(names)} in {folder} {verb} left out, as {reason}."


def _noted(tables: dict[str, Table], note: str | None) -> dict[str, Table]:
    order = [split for split in ("train", "validation", "test") if split in tables]
    if note:
        tables[order[0]] = replace(tables[order[0]], notes=(*tables[order[0]].notes, note))
    return {split: tables[split] for split in order}
