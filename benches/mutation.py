"""Run the tests against a changed copy of the sources, quickly: one warm process, one fork a change."""

import contextlib
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Change:
    """One edit of one source file: `file` relative to the root, the whole new text, and what was done, in words."""

    file: str
    text: str
    what: str


@dataclass(frozen=True)
class Verdict:
    """What the tests said of a change: `red` is the first failing test, "timeout", or None where all stayed green."""

    change: Change
    red: str | None
    seconds: float


def warm() -> None:
    """Import what every run needs, so that forks need not; never the package under test."""
    import hypothesis
    import numpy
    import pytest
    import scipy.stats
    import sklearn.linear_model
    import sklearn.metrics
    import torch

    torch.set_num_threads(1)
    assert all(module is not None for module in (hypothesis, numpy, pytest, scipy.stats, sklearn.metrics))


@contextlib.contextmanager
def copies(count: int) -> Iterator[list[Path]]:
    """`count` copies of what the tests read, one a worker."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        made = []
        for index in range(count):
            copy = Path(folder) / f"copy{index}"
            copy.mkdir()
            for name in ("src", "tests", "recipes"):
                shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(ROOT / "pyproject.toml", copy)
            made.append(copy)
        yield made


def judge(change: Change, copy: Path, tests: list[str], limit_seconds: float = 900) -> Verdict:
    """Put the change into the copy, run `tests` until the first red one, and take it out again."""
    target = copy / change.file
    original = target.read_text()
    target.write_text(change.text)
    start = time.monotonic()
    try:
        red = _run_forked(copy, tests, limit_seconds)
    finally:
        target.write_text(original)
    return Verdict(change, red, time.monotonic() - start)


def _run_forked(copy: Path, tests: list[str], limit_seconds: float) -> str | None:
    report = copy / "report.txt"
    report.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _child(copy, tests, report)
    deadline = time.monotonic() + limit_seconds
    while True:
        done, _ = os.waitpid(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "timeout"
        time.sleep(0.05)
    said = report.read_text() if report.exists() else "the process ended without a report"
    return said or None


def _child(copy: Path, tests: list[str], report: Path) -> None:
    import sys

    import pytest

    class Watch:
        """Writes the first failure to the report."""

        def __init__(self) -> None:
            self.first = ""

        def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
            if report.failed and not self.first:
                self.first = report.nodeid

        def pytest_collectreport(self, report: pytest.CollectReport) -> None:
            if report.failed and not self.first:
                self.first = f"collection of {report.nodeid}"

    with open(os.devnull, "w") as silent:
        os.dup2(silent.fileno(), 1)
        os.dup2(silent.fileno(), 2)
    os.chdir(copy)
    sys.path.insert(0, str(copy / "src"))
    os.environ["PYTHONPATH"] = str(copy / "src")
    sys.dont_write_bytecode = True
    watch = Watch()
    code = 3
    try:
        code = pytest.main(
            ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-k", "not export", *tests], plugins=[watch]
        )
    finally:
        report.write_text(watch.first or ("" if code == 0 else f"exit code {int(code)}"))
        os._exit(0)


def judge_all(changes: list[tuple[Change, list[str]]], workers: int = 2) -> Iterator[Verdict]:
    """Verdicts as they come in, `workers` at a time, each change with its own list of tests.

    Raises: RuntimeError where a test is red without any change: it would take every change for noticed.
    """
    warm()
    with copies(workers) as made, ThreadPoolExecutor(workers) as pool:
        for tests in {tuple(tests) for _, tests in changes}:
            red = _run_forked(made[0], list(tests), limit_seconds=1800)
            if red:
                raise RuntimeError(f"{red} is red without any change")
        free = list(made)

        def one(job: tuple[Change, list[str]]) -> Verdict:
            copy = free.pop()
            try:
                return judge(job[0], copy, job[1])
            finally:
                free.append(copy)

        yield from pool.map(one, changes)
