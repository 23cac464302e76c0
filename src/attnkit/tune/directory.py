"""Study: a directory that is finished, or partial and resumable, like that of a run."""

import os
import re
import shutil
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.directory import PARTIAL, Run, default_path
from attnkit.run.listing import STUDY_MARK
from attnkit.run.lock import LOCK
from attnkit.run.log import read_log
from attnkit.run.recipe import Recipe, load_recipe
from attnkit.run.record import read_record
from attnkit.tune.lease import WORKERS
from attnkit.tune.plan import Plan
from attnkit.tune.storage import is_url, journal_path, lacks_password

LEADERBOARD, LINES, BEST, FINAL, TRIALS, PAGE, MACHINE = (
    "leaderboard.json",
    "trials.jsonl",
    "best.toml",
    "final",
    "trials",
    "report.html",
    "machine.json",
)
STUDY_FILES = (STUDY_MARK, LINES, LEADERBOARD, BEST, MACHINE, PAGE)


class Study:
    """What was tuned: `path` holds study.json, the trials and how they ended, the leaderboard, best.toml, report.html
    and the run `final`, trained with the best setting.

    While it is being made its path ends in `.partial`; `finish` renames it.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def __repr__(self) -> str:
        return f"Study({str(self.path)!r})"

    @classmethod
    def open(cls, path: "str | os.PathLike[str] | Study") -> "Study":
        """The study at `path`, finished or not.

        Raises: UsageError where there is none.
        """
        if isinstance(path, Study):
            return path
        place = Path(path)
        for one in (place, place.with_name(place.name + PARTIAL)):
            if (one / STUDY_MARK).is_file():
                return cls(one)
        raise UsageError(f"there is no study at {place}; `attn tune DATA` makes one, in the folder runs")

    @classmethod
    def begin(cls, final: Path, *, resume: bool = False) -> "Study":
        """A partial directory that will become `final`; with `resume`, the one there, or the finished study.

        Raises: UsageError where something stands in the way.
        """
        partial = final.with_name(final.name + PARTIAL)
        if final.exists():
            if resume and (final / STUDY_MARK).is_file():
                return cls(final)
            raise UsageError(f"{final} already exists; choose another name with --out, or delete it")
        if partial.exists() and not resume:
            raise UsageError(
                f"{partial} is an unfinished study or run; go on with --resume, delete it, or choose another --out"
            )
        if partial.exists() and not (partial / STUDY_MARK).is_file() and any(partial.iterdir()):
            raise UsageError(f"{partial} is no unfinished study; `attn info {partial}` says what it is")
        try:
            partial.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"the study {partial} cannot be made ({error.strerror}); choose another --out") from None
        return cls(partial)

    @property
    def complete(self) -> bool:
        """False while the study is being made."""
        return not self.path.name.endswith(PARTIAL)

    @property
    def name(self) -> str:
        """The last part of its path, without the mark of a partial one."""
        return self.path.name.removesuffix(PARTIAL)

    @property
    def record(self) -> dict[str, Any]:
        """Its plan, and where its trials stand."""
        return read_record(self.path / STUDY_MARK)

    @property
    def plan(self) -> Plan:
        """What is searched, on which data, by which measure."""
        return Plan.from_dict(self.record["plan"], str(self.path / STUDY_MARK))

    @property
    def leaderboard(self) -> dict[str, Any]:
        """Every measured setting with its interval, what was failed, what mattered, what it cost."""
        return read_record(self.path / LEADERBOARD)

    @property
    def trials(self) -> list[dict[str, Any]]:
        """Every trial that was ever begun, by number."""
        return read_log(self.path / LINES)

    @property
    def best(self) -> Recipe:
        """The recipe of the best setting."""
        return load_recipe(self.path / BEST, allow_code=None)

    @property
    def final(self) -> Run | None:
        """The run trained with the best setting; None where there is none."""
        return Run(self.path / FINAL) if (self.path / FINAL).is_dir() else None

    def finish(self) -> "Study":
        """Give the directory its final name and drop what only the search needs."""
        final = self.path.with_name(self.name)
        os.rename(self.path, final)
        for left in (final / LOCK, *final.rglob(f"*{PARTIAL}")):
            left.unlink(missing_ok=True)
        # A worker that was killed leaves the folder of its trial.
        for left in (final / WORKERS, *(one for one in (final / TRIALS).glob("*") if one.is_dir())):
            shutil.rmtree(left, ignore_errors=True)
        return Study(final)


def study_path(data_path: str, *, resume: bool = False) -> Path:
    """runs/DATE-DATA-tune, numbered where it is taken; with `resume`, the newest unfinished study of the same data.

    Raises: UsageError where there is none to resume.
    """
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", Path(data_path).resolve().name.split(".")[0]).strip("-") or "data"
    try:
        return default_path(f"{stem}-tune", resume=resume)
    except UsageError:
        raise UsageError(
            f"there is no unfinished study of {data_path or 'that data'} in runs; name one with --out, or tune without "
            "--resume"
        ) from None


def recorded(study: Study, storage: str) -> tuple[str, str]:
    """The address of a study's storage, and its name there.

    Raises: UsageError where the address had a password, which is not written down.
    """
    record = study.record
    written = storage or record["storage"]
    if lacks_password(written):
        raise UsageError(f"the password of {written} is not written down; give the whole address with --storage")
    return address(written, study.path), record["plan"]["name"]


def address(storage: str, folder: Path | None) -> str:
    """The address of a storage in full: a URL, or the path of a journal file, by default that in `folder`."""
    return storage if is_url(storage) else str(journal_path(storage, folder).absolute())
