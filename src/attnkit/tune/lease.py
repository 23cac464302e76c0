"""Who works on which trial, and how a worker that is gone is noticed."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WORKERS = "workers"
_LOOK_SECONDS = 0.5


def this_machine() -> str:
    """What tells machines apart: two may bear one name, and files locked on one are not locked on the other."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("utf-8").strip()
    except OSError:
        return f"{uuid.getnode():x}"


class Worker:
    """This process as a worker: a name, and a file it holds locked for as long as it lives."""

    def __init__(self, folder: Path | None) -> None:
        self.name = uuid.uuid4().hex[:12]
        self.folder = folder
        self.locked = False

    def to_dict(self) -> dict[str, Any]:
        """What is written beside a trial."""
        place = {"host": socket.gethostname(), "machine": this_machine()}
        return {"name": self.name, "pid": os.getpid(), "locked": self.locked, **place}

    @contextmanager
    def present(self) -> Iterator[None]:
        """Hold the lock that says: this worker lives; the system lets go of it however the process ends."""
        if self.folder is None or fcntl is None:
            yield
            return
        path = _lock_path(self.folder, self.name)
        path.parent.mkdir(exist_ok=True)
        with open(path, "wb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.locked = True
            except OSError:
                # Some network file systems know no locks: silence tells of the end then.
                pass
            try:
                yield
            finally:
                path.unlink(missing_ok=True)


class Absences:
    """Finds the running trials whose worker is gone.

    On this machine by the lock that its worker holds; elsewhere by `lease_seconds` without a sign of life, on our own
    clock, since clocks of machines differ.
    """

    def __init__(self, folder: Path | None, lease_seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.folder, self.lease_seconds, self.clock = folder, lease_seconds, clock
        self._seen: dict[int, tuple[Any, float]] = {}

    def reason(self, trial: Any) -> str:
        """Why the worker of a running trial counts as lost; "" where it does not."""
        worker, beat = trial.user_attrs.get("worker"), trial.user_attrs.get("beat")
        if worker is not None and self._ended(worker):
            return f"its worker, process {worker['pid']} on {worker['host']}, ended without a word (killed, or crashed)"
        now = self.clock()
        before, since = self._seen.get(trial.number, (None, now))
        if trial.number not in self._seen or before != beat:
            self._seen[trial.number] = (beat, now)
            return ""
        if now - since < self.lease_seconds:
            return ""
        who = f"process {worker['pid']} on {worker['host']}" if worker else "a process that never said its name"
        return f"its worker, {who}, gave no sign of life for {self.lease_seconds:g} seconds"

    def _ended(self, worker: dict[str, Any]) -> bool:
        if self.folder is None or fcntl is None or not worker["locked"] or worker["machine"] != this_machine():
            return False
        path = _lock_path(self.folder, worker["name"])
        try:
            with open(path, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


class Pulse:
    """While the block runs, gives signs of life from a thread of its own, and looks whether work must stop.

    `beat` is called every quarter of `lease_seconds`; `must_stop` often, and what it says (not "") ends the looking.
    """

    def __init__(self, beat: Callable[[int], None], must_stop: Callable[[], str], lease_seconds: float) -> None:
        self.beat, self.must_stop, self.every = beat, must_stop, lease_seconds / 4
        self.stop = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Pulse":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        count, last = 0, float("-inf")
        while not self._over.is_set():
            try:
                if time.monotonic() - last >= self.every:
                    self.beat(count)
                    count, last = count + 1, time.monotonic()
                self.stop = self.stop or self.must_stop()
            except Exception:
                # The storage may be out of reach for a while; longer than the lease, and others take the trial over.
                pass
            self._over.wait(min(_LOOK_SECONDS, self.every))


def _lock_path(folder: Path, name: str) -> Path:
    return folder / WORKERS / f"{name}.lock"
