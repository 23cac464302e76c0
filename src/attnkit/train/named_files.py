"""Files beside the data that every epoch reads: recorded by hash, so that a run goes on with the same ones."""

from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe
from attnkit.run.record import file_sha256

_FIELDS = (("regularize", "unlabeled"), ("augment", "synonyms"))


def record_of_files(recipe: Recipe) -> dict[str, str]:
    """The sha256 of each file that a training reads as it goes on, by the recipe field that names it.

    Raises: UsageError where one of them is missing.
    """
    hashes = {}
    for section, field in _FIELDS:
        path = getattr(getattr(recipe, section), field)
        if path and not Path(path).is_file():
            raise UsageError(f"there is no file {path}; check {section}.{field}")
        if path:
            hashes[f"{section}.{field}"] = file_sha256(Path(path))
    return hashes


def refuse_changed_files(recipe: Recipe, record: dict[str, Any], folder: Path) -> None:
    """Hold the files of a run that goes on to those it was begun with; runs without a record of them are not held.

    Raises: UsageError where one of them changed or is gone.
    """
    for name, sha256 in record.get("files", {}).items():
        if record_of_files(recipe).get(name) != sha256:
            raise UsageError(f"the file of {name} changed since {folder} was begun; put it back, or train anew")
