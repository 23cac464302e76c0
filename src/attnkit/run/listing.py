"""A table of runs: what each was trained on, how well it did, and when."""

import datetime
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.directory import PARTIAL, Run

_MARKS = ("recipe.toml", "metrics.json", "model/model.json")
# What a directory of `attn tune` holds, which is not a run though it is made like one.
STUDY_MARK = "study.json"


@dataclass(frozen=True)
class RunLine:
    """One run: its state ("finished", "unfinished", "damaged") and what it says of itself, None where nothing."""

    path: str
    state: str
    changed: str
    data: str | None = None
    rows: int | None = None
    encoder: str | None = None
    pooling: str | None = None
    measure: str | None = None
    value: float | None = None
    low: float | None = None
    high: float | None = None
    minutes: float | None = None
    trouble: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def list_runs(folder: str | os.PathLike[str] = "runs") -> list[RunLine]:
    """The runs that stand in `folder`, oldest first; a damaged one is listed with its trouble.

    Raises: UsageError where the folder is missing.
    """
    where = Path(folder)
    if not where.is_dir():
        raise UsageError(f"there is no folder {where}; runs are made by `attn train DATA`, in the folder runs")
    found = [place for place in where.iterdir() if is_run(place)]
    return [run_line(place) for place in sorted(found, key=lambda place: place.stat().st_mtime)]


def is_run(place: Path) -> bool:
    """True where `place` is a run directory, finished or not."""
    if not place.is_dir() or (place / STUDY_MARK).is_file():
        return False
    return place.name.endswith(PARTIAL) or any((place / name).is_file() for name in _MARKS)


def run_line(place: Path) -> RunLine:
    """One run as a line of the table."""
    changed = datetime.datetime.fromtimestamp(place.stat().st_mtime).isoformat(" ", "minutes")
    run = Run(place)
    try:
        if not run.complete:
            return RunLine(str(place), "unfinished", changed, trouble=None)
        return RunLine(str(place), "finished", changed, **_said(run))
    except UsageError as error:
        return RunLine(str(place), "damaged", changed, trouble=str(error))
    except (KeyError, TypeError, AttributeError):
        return RunLine(str(place), "damaged", changed, trouble="its records lack what every run has; train it again")


def _said(run: Run) -> dict[str, Any]:
    recipe, metrics, machine = run.recipe, run.metrics, run.machine
    of = "test" if metrics["test"] else "validation"
    measure = metrics[of][metrics["select"]]
    return {
        "data": Path(recipe.data.path).name,
        "rows": sum(metrics["sizes"].values()),
        "encoder": recipe.model.encoder,
        "pooling": recipe.model.pooling if isinstance(recipe.model.pooling, str) else recipe.model.pooling.get("type"),
        "measure": f"{of} {metrics['select']}",
        "value": measure["value"],
        "low": measure["low"],
        "high": measure["high"],
        "minutes": machine["seconds"] / 60,
    }
