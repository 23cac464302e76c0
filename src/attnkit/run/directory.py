"""Run: a directory that is complete, or partial and resumable, and never half-written."""

import datetime
import os
import re
import shutil
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.lock import LOCK
from attnkit.run.recipe import Recipe, load_recipe
from attnkit.run.record import read_record

PARTIAL = ".partial"


class Run:
    """What was trained: `path` holds recipe.toml, data.json, log.jsonl, metrics.json, machine.json, model/ and
    report.html.

    While it is being made its path ends in `.partial`; `finish` renames it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @classmethod
    def open(cls, path: "str | os.PathLike[str] | Run") -> "Run":
        """The finished run at `path`, or a partial one named in full.

        Raises: UsageError where there is none, or where it is not finished.
        """
        if isinstance(path, Run):
            return path
        place = Path(path)
        beside = place.with_name(place.name + PARTIAL)
        if not place.exists():
            if beside.is_dir():
                raise UsageError(f"the run {place} is not finished; go on with `attn train ... --out {place} --resume`")
            raise UsageError(f"there is no run at {place}; `attn runs` lists those there are")
        if not (place / "recipe.toml").is_file():
            raise UsageError(
                f"{place} is not a run directory (it holds no recipe.toml); `attn info {place}` says what it is"
            )
        return cls(place)

    @classmethod
    def begin(cls, final: Path, *, resume: bool = False) -> "Run":
        """A partial directory that will become `final`; with `resume`, the one that stands there, or the finished run.

        Raises: UsageError where something stands in the way.
        """
        partial = final.with_name(final.name + PARTIAL)
        if final.exists():
            if resume and (final / "metrics.json").is_file():
                return cls(final)
            raise UsageError(f"{final} already exists; choose another name with --out, or delete it")
        if partial.exists() and not resume:
            raise UsageError(f"{partial} is an unfinished run; go on with --resume, delete it, or choose another --out")
        try:
            partial.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(
                f"the run directory {partial} cannot be made ({error.strerror}); choose another --out"
            ) from None
        return cls(partial)

    @property
    def complete(self) -> bool:
        """False while the run is being made."""
        return not self.path.name.endswith(PARTIAL)

    @property
    def name(self) -> str:
        """The last part of its path, without the mark of a partial run."""
        return self.path.name.removesuffix(PARTIAL)

    @property
    def recipe(self) -> Recipe:
        """The complete recipe it was made from."""
        return load_recipe(self.path / "recipe.toml", allow_code=None)

    @property
    def metrics(self) -> dict[str, Any]:
        """Every figure with its protocol, n and interval."""
        return read_record(self.path / "metrics.json")

    @property
    def data(self) -> dict[str, Any]:
        """Where the data stood, its hash, its schema and the rows of each split."""
        return read_record(self.path / "data.json")

    @property
    def machine(self) -> dict[str, Any]:
        """Versions, cores, seconds and peak memory."""
        return read_record(self.path / "machine.json")

    def finish(self) -> "Run":
        """Give the directory its final name and drop what only resuming needs."""
        final = self.path.with_name(self.name)
        os.rename(self.path, final)
        # What a killed process was just writing stands beside its target.
        for left in (final / LOCK, final / "checkpoint.safetensors", *final.rglob(f"*{PARTIAL}")):
            left.unlink(missing_ok=True)
        shutil.rmtree(final / "folds", ignore_errors=True)
        return Run(final)


def default_path(data_path: str, *, resume: bool = False, folder: Path = Path("runs")) -> Path:
    """runs/DATE-DATA, numbered where it is taken; with `resume`, the newest unfinished run on the same data."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", Path(data_path).resolve().name.split(".")[0]).strip("-") or "data"
    if resume:
        unfinished = [p for p in folder.glob(f"*{PARTIAL}") if re.fullmatch(rf"[\d-]+-{stem}(-\d+)?{PARTIAL}", p.name)]
        if not unfinished:
            raise UsageError(
                f"there is no unfinished run on {data_path} in {folder}; name one with --out, or train without --resume"
            )
        newest = max(unfinished, key=lambda path: path.stat().st_mtime)
        return newest.with_name(newest.name.removesuffix(PARTIAL))
    first = folder / f"{datetime.date.today().isoformat()}-{stem}"
    number, path = 1, first
    while path.exists() or path.with_name(path.name + PARTIAL).exists():
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path
