"""What a recipe names beside its data: looked for first; and files that every epoch reads, held by their hash."""

from pathlib import Path
from typing import Any

from attnkit.data.readers import check_there
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.recipe import Recipe
from attnkit.run.record import file_sha256

_FIELDS = (("regularize", "unlabeled"), ("augment", "synonyms"))


def refuse_missing(recipe: Recipe) -> None:
    """Look for all that `recipe` names beside its data, before the data are read.

    Raises: UsageError where a further data file, a file of words or texts, or a teacher is not there.
    """
    for path in recipe.tasks.also:
        check_there(path)
    for section, field in _FIELDS:
        _check_file(recipe, section, field)
    for path in recipe.distill.teacher:
        Run.open(path)


def record_of_files(recipe: Recipe) -> dict[str, str]:
    """The sha256 of each file that a training reads as it goes on, by the recipe field that names it.

    Raises: UsageError where one of them is missing.
    """
    hashes = {}
    for section, field in _FIELDS:
        if path := _check_file(recipe, section, field):
            hashes[f"{section}.{field}"] = file_sha256(Path(path))
    return hashes


def _check_file(recipe: Recipe, section: str, field: str) -> str:
    path: str = getattr(getattr(recipe, section), field)
    if path and not Path(path).is_file():
        raise UsageError(f"there is no file {path}; check {section}.{field}")
    return path


def refuse_changed_files(recipe: Recipe, record: dict[str, Any], folder: Path) -> None:
    """Hold the files of a run that goes on to those it was begun with; runs without a record of them are not held.

    Raises: UsageError where one of them changed or is gone.
    """
    for name, sha256 in record.get("files", {}).items():
        if record_of_files(recipe).get(name) != sha256:
            raise UsageError(f"the file of {name} changed since {folder} was begun; put it back, or train anew")
