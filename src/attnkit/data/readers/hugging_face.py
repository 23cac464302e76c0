"""A dataset that Hugging Face `datasets` saved with `save_to_disk`: a folder of Arrow files, or one folder a split."""

import json
from pathlib import Path

from attnkit.data.readers.arrow import read_arrow
from attnkit.data.readers.source import load_text
from attnkit.data.table import Table, joined
from attnkit.errors import UsageError


def is_saved_dataset(folder: Path) -> bool:
    """Whether the folder is a saved `Dataset` or `DatasetDict`."""
    return (folder / "dataset_dict.json").is_file() or (folder / "state.json").is_file()


def read_saved_dataset(folder: Path) -> list[tuple[str, Table]]:
    """The tables by the name they were saved under; one table named "all" for a single `Dataset`.

    Raises: UsageError where a part that the folder's own list names is missing or damaged.
    """
    if not (folder / "dataset_dict.json").is_file():
        return [("all", _dataset(folder))]
    splits = _object(folder / "dataset_dict.json").get("splits")
    if not isinstance(splits, list) or not splits or not all(isinstance(split, str) for split in splits):
        raise UsageError(f"{folder / 'dataset_dict.json'} names no splits; save the dataset again.")
    return [(split, _dataset(_inside(folder, split))) for split in splits]


def _dataset(folder: Path) -> Table:
    files = _object(folder / "state.json").get("_data_files")
    listed = files if isinstance(files, list) else []
    names = [file.get("filename") if isinstance(file, dict) else None for file in listed]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise UsageError(f"{folder / 'state.json'} names no data files; save the dataset again.")
    return joined("all", [read_arrow(_inside(folder, str(name))) for name in names])


def _inside(folder: Path, name: str) -> Path:
    """A direct child of the folder: the list may not lead elsewhere."""
    if name != Path(name).name or name in {"", ".", ".."}:
        raise UsageError(f"{folder} names the part {name!r}, which is outside the folder; save the dataset again.")
    return folder / name


def _object(path: Path) -> dict[str, object]:
    try:
        value = json.loads(load_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path} is not valid JSON; save the dataset again.") from None
    if not isinstance(value, dict):
        raise UsageError(f"{path} is not a JSON object; save the dataset again.")
    return value
