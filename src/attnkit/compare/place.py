"""The directory of a comparison or a curve: its plan first, then cells, then results; gone on with by the same plan."""

import datetime
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.lock import locked
from attnkit.run.recipe import recipe_from_plain
from attnkit.run.record import read_record, write_record

PLAN, RESULTS, REPORT = "plan.json", "results.json", "report.html"


def default_folder(data: Path, what: str, folder: Path = Path("runs")) -> Path:
    """runs/DATE-DATA-WHAT, numbered where it is taken."""
    stem = re.sub(r"[^A-Za-z0-9_]+", "-", data.resolve().name.split(".")[0]).strip("-") or "data"
    first = folder / f"{datetime.date.today().isoformat()}-{stem}-{what}"
    number, path = 1, first
    while path.exists():
        number += 1
        path = first.with_name(f"{first.name}-{number}")
    return path


def check_free(out: str | os.PathLike[str] | None, resume: bool) -> None:
    """Refuse a directory that cannot be begun or gone on with, before anything is read.

    Raises: UsageError where `out` stands there without `resume`, or `resume` has nothing to go on with.
    """
    if out is None:
        if resume:
            raise UsageError("--resume goes on in a directory; name it with --out")
        return
    place = Path(out)
    if resume and not (place / PLAN).is_file():
        raise UsageError(f"{place} holds no {PLAN} to go on with; check the name, or leave --resume out")
    if place.exists() and not resume:
        raise UsageError(f"{place} already exists; go on with --resume, choose another --out, or delete it")


@contextmanager
def begun(folder: Path, plan: Mapping[str, Any]) -> Iterator[None]:
    """Hold the directory for this process, made with its plan or gone on with by the same one.

    Raises: UsageError where it was begun with another plan, or another process works in it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"the directory {folder} cannot be made ({error.strerror}); choose another --out") from None
    with locked(folder):
        path = folder / PLAN
        if path.exists():
            before = read_record(path)
            # Fields that are new since then have their defaults.
            before["recipe"] = recipe_from_plain(before.get("recipe", {}), str(path), allow_code=None).to_plain()
            other = [name for name in plan if plan[name] != before.get(name)]
            if other:
                raise UsageError(
                    f"{folder} was begun with another {' and another '.join(other)}; give what it was begun with, or "
                    "choose another --out"
                )
        else:
            write_record(path, dict(plan))
        yield
    (folder / "lock").unlink(missing_ok=True)
