"""The folder of a learner: what it began from, one line an event, and what each point changed."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from attnkit.errors import FailedError, UsageError
from attnkit.files import append_line, write_bytes
from attnkit.run.checkpoint import read_tensors
from attnkit.run.record import file_sha256, read_record, write_record

BEGUN, EVENTS, POINTS = "learner.json", "events.jsonl", "points"


@dataclass(frozen=True)
class Event:
    """An update that stands (`point` it made), one that was undone (`point` 0), or a step back to `point`."""

    kind: str
    values: dict[str, Any]


class LearnerFolder:
    """Everything a learner is, beside its run: any point is the frozen weights with the changes up to it.

    `events.jsonl` only grows. Raises: UsageError where the folder belongs to another run or other settings, or is
    damaged.
    """

    def __init__(self, path: Path, run: Path, settings: dict[str, Any]) -> None:
        self.path = path
        held = {
            "run": str(run.absolute()),
            "model_sha256": file_sha256(run / "model" / "model.json"),
            "settings": settings,
        }
        begun = path / BEGUN
        if begun.exists():
            self._hold(read_record(begun), held)
        else:
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise UsageError(f"{path} is there already and is no learner's folder; name another with --out")
            try:
                (path / POINTS).mkdir(parents=True, exist_ok=True)
                write_record(begun, held)
            except OSError as error:
                raise UsageError(f"{path} cannot be made ({error.strerror}); name another with --out") from None

    @staticmethod
    def settings_of(path: Path) -> dict[str, Any] | None:
        """The settings that the learner at `path` was begun with; None where there is none."""
        begun = path / BEGUN
        return dict(read_record(begun)["settings"]) if begun.exists() else None

    @staticmethod
    def run_of(path: Path) -> Path:
        """The run that the learner at `path` began from."""
        return Path(read_record(path / BEGUN)["run"])

    def _hold(self, begun: dict[str, Any], now: dict[str, Any]) -> None:
        if begun["model_sha256"] != now["model_sha256"]:
            raise UsageError(f"{self.path} learned from {begun['run']}, not from {now['run']}; name another with --out")
        for name, value in now["settings"].items():
            if begun["settings"].get(name) != value:
                was = begun["settings"].get(name)
                raise UsageError(
                    f"{self.path} was begun with {name} = {was!r} and cannot go on with {value!r}; leave it out, or "
                    "name another folder with --out"
                )

    def events(self) -> list[Event]:
        """What happened so far; a last line that a crash cut short did not happen.

        Raises: UsageError where another line is damaged.
        """
        return self.events_of(self.path)

    @staticmethod
    def events_of(folder: Path) -> list[Event]:
        """The same of a folder that is only looked at."""
        path = folder / EVENTS
        if not path.exists():
            return []
        lines = path.read_bytes().split(b"\n")[:-1]
        found = []
        for number, line in enumerate(lines, 1):
            try:
                values = json.loads(line)
                found.append(Event(values.pop("event"), values))
            except (ValueError, KeyError, TypeError, AttributeError):
                raise UsageError(f"{path}:{number} is damaged; copy the folder again") from None
        return found

    def add(self, kind: str, **values: Any) -> Event:
        """Append an event, on the disk before this returns.

        Raises: FailedError where the disk refuses.
        """
        path = self.path / EVENTS
        try:
            append_line(path, json.dumps({"event": kind, **values}))
        except OSError as error:
            raise FailedError(f"{path} could not be written ({error.strerror or error}); free some space") from None
        return Event(kind, values)

    def write_point(self, point: int, parent: int, change: dict[str, Tensor]) -> None:
        """Keep what the point changed in the weights of the point `parent`."""
        write_bytes(self._file(point), safetensors.torch.save(change or {}, {"parent": str(parent)}))

    def read_point(self, point: int) -> tuple[dict[str, Tensor], int]:
        """What a point changed, and the point it changed.

        Raises: UsageError where its file is missing or damaged.
        """
        tensors, facts = read_tensors(self._file(point))
        return tensors, int(facts["parent"])

    def way_to(self, point: int) -> list[int]:
        """The points whose changes lead from the frozen weights to this one, which comes last."""
        found = []
        while point:
            found.append(point)
            point = self.read_point(point)[1]
        return found[::-1]

    def _file(self, point: int) -> Path:
        return self.path / POINTS / f"{point:06d}.safetensors"
