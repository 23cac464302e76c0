"""Tools: another environment's Python, in which converters and runtimes are installed that clash with ours."""

import io
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.errors import FailedError, UsageError

_SCRIPTS = Path(__file__).parent / "scripts"
# Converters take minutes on large models, and an hour on none.
_PATIENCE_SECONDS = 3600


@dataclass(frozen=True)
class Tools:
    """The environment at `path` (a folder of `python -m venv`, or its interpreter), which must hold `packages`.

    Raises: UsageError where there is none, or a package is missing.
    """

    path: Path
    packages: tuple[str, ...]

    def __post_init__(self) -> None:
        wanted = ", ".join(self.packages)
        if not self.python.is_file() or not os.access(self.python, os.X_OK):
            raise UsageError(
                f"--tools-env {self.path} holds no Python; make one with python -m venv, and install {wanted} there"
            )
        modules = [name.replace("-", "_") for name in self.packages]
        asked = f"import importlib.util as u; print(*(n for n in {modules!r} if u.find_spec(n) is None))"
        done = subprocess.run([str(self.python), "-c", asked], capture_output=True, text=True, check=False)
        if done.returncode:
            raise UsageError(f"--tools-env {self.path} does not start: {_last(done.stderr)}")
        missing = [name for name, module in zip(self.packages, modules, strict=True) if module in done.stdout.split()]
        if missing:
            raise UsageError(f"--tools-env {self.path} lacks {', '.join(missing)}; install them there with its pip")

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path if self.path.is_file() else self.path / "bin" / "python"

    def convert(self, script: str, files: Mapping[str, bytes], result: str, *words: str) -> bytes:
        """What `script` writes as `result` into a folder of `files`.

        Raises: FailedError with the last line of what it said, where it fails.
        """
        with tempfile.TemporaryDirectory(prefix="attn-") as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            command = [str(self.python), str(_SCRIPTS / script), folder, *words]
            try:
                done = subprocess.run(
                    command, capture_output=True, text=True, check=False, timeout=_PATIENCE_SECONDS, env=_environment()
                )
            except subprocess.TimeoutExpired:
                raise FailedError(f"{script} did not end within an hour; try a shorter model") from None
            made = Path(folder) / result
            if done.returncode or not made.is_file():
                raise FailedError(f"this model cannot be converted, as {self.packages[0]} says: {_last(done.stderr)}")
            return made.read_bytes()

    def start(self, script: str, model: bytes, suffix: str, threads: int) -> "Talk":
        """A process that computes `model`."""
        return Talk(self, script, model, suffix, threads)


class Talk:
    """A process of the tools' environment that answers arrays with arrays until it is closed.

    Raises: FailedError where it ends before its time.
    """

    def __init__(self, tools: Tools, script: str, model: bytes, suffix: str, threads: int) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="attn-")
        path = Path(self._folder.name) / f"model{suffix}"
        path.write_bytes(model)
        self._said = open(Path(self._folder.name) / "said", "w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(tools.python), str(_SCRIPTS / script), str(path), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=_environment(),
        )

    def ask(self, ids: NDArray[Any]) -> list[NDArray[Any]]:
        """The outputs for ids (1, T)."""
        held = io.BytesIO()
        np.save(held, ids)
        pipe, answers = self._process.stdin, self._process.stdout
        assert pipe is not None and answers is not None
        try:
            pipe.write(len(held.getvalue()).to_bytes(8, "big") + held.getvalue())
            pipe.flush()
            head = answers.read(8)
        except OSError:
            head = b""
        if len(head) < 8:
            self._said.seek(0)
            raise FailedError(f"the runtime of the shipped model ended: {_last(self._said.read())}")
        with np.load(io.BytesIO(answers.read(int.from_bytes(head, "big"))), allow_pickle=False) as found:
            return [found[name] for name in found.files]

    def close(self) -> None:
        """End the process and forget its files."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._said.close()
        self._folder.cleanup()

    def __del__(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def _environment() -> dict[str, str]:
    # What this process was told of its own packages is not true there.
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def _last(said: str, most: int = 300) -> str:
    lines: Sequence[str] = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:most].rstrip(".") if lines else "nothing"
