"""Launching: one training as several processes of this machine, and what becomes of them."""

import json
import logging
import os
import signal
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from attnkit.errors import FailedError, UsageError
from attnkit.run.recipe import Recipe
from attnkit.train.events import Event, Listener
from attnkit.train.interrupt import Interrupted
from attnkit.train.parallel.processes import LOST, launched

CALL, EVENTS, DONE, LOGS = "call.json", "events.jsonl", "done", "logs"
WORKER = "attnkit.train.parallel.worker"
# As many as there are cores, or a few on a small machine, where somebody tries them.
MOST_PROCESSES = max(8, os.cpu_count() or 1)
_ELASTIC = "torch.distributed.elastic"


def check_processes(processes: int) -> None:
    """Hold a number of processes to what can be launched.

    Raises: UsageError where it is out of reach, or torchrun has launched another number.
    """
    if launched() > 1:
        raise UsageError(f"{launched()} processes were launched and {processes} are asked for; leave --processes out")
    if not 1 <= processes <= MOST_PROCESSES:
        raise UsageError(
            f"--processes takes a number from 1 to {MOST_PROCESSES} on this machine of {os.cpu_count()} cores, and got "
            f"{processes}"
        )
    if not torch.distributed.is_available():
        raise UsageError("this build of torch has no torch.distributed; leave --processes out")


def launch(
    processes: int,
    data: str | os.PathLike[str] | None,
    recipe: Recipe | str | os.PathLike[str] | None,
    progress: Listener | None,
    options: Mapping[str, Any],
) -> str:
    """The path of the run that `processes` of this machine have trained together; the threads are shared out to them.

    They end with this process: saved, where it is Ctrl-C or death that ends it.

    Raises: what the first of them raised; FailedError that says which one died, where one did.
    """
    with tempfile.TemporaryDirectory(prefix="attn-") as folder:
        place = Path(folder)
        settings = recipe.model_dump(mode="json", exclude_unset=True) if isinstance(recipe, Recipe) else recipe
        call = {
            "data": None if data is None else os.fspath(data),
            "recipe": settings,
            "options": dict(options),
            "threads": max(1, torch.get_num_threads() // processes),
            "launcher": os.getpid(),
        }
        (place / CALL).write_text(json.dumps(call, default=str), "utf-8")
        workers = Workers(processes, place)
        with workers.running():
            workers.follow(progress)
        if workers.failures:
            raise _ending(place, workers.failures, processes)
        return (place / DONE).read_text("utf-8")


class Workers:
    """The processes that work in `place`, under torch's elastic agent in a thread of its own."""

    def __init__(self, processes: int, place: Path) -> None:
        self.processes, self.place = processes, place
        self.failures: dict[int, ProcessFailure] = {}
        self._error: BaseException | None = None
        self._agent = threading.Thread(target=self._supervise, daemon=True)
        self._asked = False

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the processes while the block runs; those that still work at its end are told to end."""
        main = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGINT, self._on_ctrl_c) if main else None
        try:
            with _silent(_ELASTIC), _environment(TORCH_CPP_LOG_LEVEL="ERROR"):
                self._agent.start()
                try:
                    yield
                finally:
                    while self._agent.is_alive():
                        self.send(signal.SIGTERM)
                        self._agent.join(0.2)
        finally:
            if main:
                signal.signal(signal.SIGINT, before)
        if self._error is not None:
            raise self._error

    def follow(self, progress: Listener | None) -> None:
        """Pass on the first process's events until all have ended."""
        heard = 0
        working = True
        while working:
            working = self._agent.is_alive()
            lines = _whole_lines(self.place / EVENTS, heard)
            heard += sum(len(line) + 1 for line in lines)
            if progress is not None:
                for event in map(json.loads, lines):
                    progress(Event(event["kind"], event["values"]))
            self._agent.join(0.05)

    def send(self, wish: signal.Signals, ranks: Sequence[int] | None = None) -> bool:
        """Send a signal to the processes of these ranks (all, where None) that have begun; False where none has."""
        sent = False
        for rank in range(self.processes) if ranks is None else ranks:
            with suppress(OSError, ValueError):
                os.kill(int((self.place / f"{rank}.pid").read_text()), wish)
                sent = True
        return sent

    def _on_ctrl_c(self, number: int, frame: Any) -> None:
        # The first asks the first process, which tells the others; they save and end.
        if self._asked or not self.send(signal.SIGINT, [0]):
            raise KeyboardInterrupt
        self._asked = True

    def _supervise(self) -> None:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=self.processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            monitor_interval=0.1,
            shutdown_timeout=10,
            # Left to itself the agent makes a folder beside ours, which nobody removes.
            logs_specs=DefaultLogsSpecs(log_dir=str(self.place / LOGS)),
        )
        try:
            start: Any = elastic_launch(config, sys.executable)
            start("-m", WORKER, str(self.place))
        except ChildFailedError as error:
            self.failures = error.failures
        except BaseException as error:
            self._error = error


def _ending(place: Path, failures: Mapping[int, ProcessFailure], processes: int) -> BaseException:
    """The error that a launch ends with: of those the processes had, one that is not the loss of another."""
    told = {rank: _told(place / f"{rank}.end") for rank in range(processes)}
    own = {rank: end for rank, end in told.items() if end and end["kind"] != LOST}
    if own:
        rank, end = min(own.items())
        match end["kind"]:
            case "Interrupted":
                return Interrupted(end["sentence"], end["path"])
            case "KeyboardInterrupt":
                return KeyboardInterrupt()
            case "UsageError":
                return UsageError(end["sentence"])
            case "FailedError":
                return FailedError(end["sentence"])
        failed = FailedError(f"process {rank} of {processes} failed ({end['kind']}: {end['sentence']})")
        failed.add_note(end["trace"])
        return failed
    # The agent ends those that still work with SIGTERM.
    died = {rank: one for rank, one in failures.items() if one.exitcode < 0 and -one.exitcode != signal.SIGTERM}
    rank, first = min((died or failures).items(), key=lambda item: item[1].timestamp)
    how = f"signal {signal.Signals(-first.exitcode).name}" if first.exitcode < 0 else f"exit code {first.exitcode}"
    return FailedError(
        f"process {rank} of {processes} ended with {how}, and the others were ended; what was saved stands, and "
        "--resume goes on from there"
    )


def _told(path: Path) -> dict[str, str]:
    return json.loads(path.read_text("utf-8")) if path.exists() else {}


def _whole_lines(path: Path, start: int) -> list[bytes]:
    if not path.exists():
        return []
    with open(path, "rb") as file:
        file.seek(start)
        return file.read().split(b"\n")[:-1]


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """With these variables for processes that are started meanwhile, where the user has not set them."""
    added = {name: value for name, value in values.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextmanager
def _silent(name: str) -> Iterator[None]:
    """Without what torch's agent logs of ends that are reported otherwise."""
    loggers = [logger for known, logger in logging.root.manager.loggerDict.items() if known.startswith(name)]
    held = [(one, one.disabled) for one in loggers if isinstance(one, logging.Logger)]
    for logger, _ in held:
        logger.disabled = True
    try:
        yield
    finally:
        for logger, before in held:
            logger.disabled = before
