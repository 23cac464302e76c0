"""A crew: worker processes on this machine, started, watched, replaced and stopped by the process that leads."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from attnkit.errors import FailedError
from attnkit.tune.budget import Budget
from attnkit.tune.lease import WORKERS, Absences
from attnkit.tune.search import Search
from attnkit.tune.worker import STORAGE_VARIABLE

_LOOK_SECONDS = 0.2
_STOPPING_SECONDS = 60.0
_DEATHS_A_WORKER = 3


@dataclass
class Crew:
    """`workers` processes with `threads` threads each, on the study of `search` in the storage at `where`.

    `between` is called at each look; `first` numbers the workers, so that crews of several machines draw unlike seeds.
    """

    search: Search
    where: str
    data_path: str
    workers: int
    threads: int
    budget: Budget
    wanted: int
    between: Callable[[], None]
    first: int = 0
    allow_code: bool = False
    running: dict[int, tuple[subprocess.Popen[bytes], Path]] = field(default_factory=dict)
    told: dict[int, str] = field(default_factory=dict)
    begun: int = 0
    deaths: int = 0

    def work(self) -> None:
        """Keep the workers at work until nothing is left to do; however this ends, no process is left behind.

        Raises: FailedError where workers keep ending.
        """
        absences = Absences(self.search.folder, self.search.settings.lease_seconds)
        try:
            for _ in range(self.workers):
                self._start()
            while True:
                died = self._bury()
                self.search.clear_lost(absences, self.told)
                self.between()
                if self.deaths > _DEATHS_A_WORKER * self.workers:
                    last = list(self.told.values())[-1]
                    raise FailedError(f"{self.deaths} workers ended too soon ({last}); mend that, and add --resume")
                going_on = not self._over() and self.search.room(self.wanted)
                if going_on:
                    # Workers that found nothing left to do are not missed until something is.
                    for _ in range(died if self.running else max(1, died)):
                        self._start()
                elif not self.running:
                    break
                time.sleep(_LOOK_SECONDS)
        finally:
            self._stop()
            self._bury()
            self.search.clear_lost(absences, self.told)
        self.between()

    def _over(self) -> bool:
        lines = self.search.lines()
        return self.budget.over(lines) or self.budget.too_late(lines) or self.search.over()

    def _start(self) -> None:
        folder, number = self.search.folder, self.first + self.begun
        log = Path(os.devnull)
        if folder is not None:
            log = folder / WORKERS / f"{number}.log"
            log.parent.mkdir(exist_ok=True)
        words = [sys.executable, "-m", "attnkit.tune.worker", "--name", self.search.plan.name]
        words += ["--folder", str(folder.absolute())] if folder is not None else []
        words += ["--data", self.data_path, "--number", str(number), "--wanted", str(self.wanted)]
        words += ["--threads", str(self.threads), "--budget", self.budget.to_text()]
        words += ["--allow-code"] if self.allow_code else []
        variables = {**os.environ, STORAGE_VARIABLE: self.where, "OMP_NUM_THREADS": str(self.threads)}
        with open(log, "ab") as out:
            # In a session of its own, so that Ctrl-C at the terminal reaches the leader alone, which then tells them.
            one = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=variables, start_new_session=True
            )
        self.running[one.pid] = (one, log)
        self.begun += 1

    def _bury(self) -> int:
        """Take note of processes that ended; how many of them ended badly."""
        bad = 0
        for pid, (one, log) in list(self.running.items()):
            code = one.poll()
            if code is None:
                continue
            del self.running[pid]
            if code in (0, 130):
                continue
            bad += 1
            self.told[pid] = f"its worker, process {pid}, {_ending(code, log)}"
        self.deaths += bad
        return bad

    def _stop(self) -> None:
        for one, _ in self.running.values():
            one.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _STOPPING_SECONDS
        for one, _ in self.running.values():
            try:
                one.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                one.kill()
                one.wait()


def _ending(code: int, log: Path) -> str:
    if code < 0:
        return f"was killed by signal {-code} ({signal.Signals(-code).name})"
    said = log.read_text("utf-8", errors="replace").strip().splitlines() if log.is_file() else []
    return f"ended with exit code {code}" + (f": {said[-1]}" if said else "")
