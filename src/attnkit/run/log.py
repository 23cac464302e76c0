"""log.jsonl: one line a step, evaluation or message, cut back to the checkpoint when a run goes on."""

import json
import os
from pathlib import Path
from typing import Any


class Log:
    """An append-only file of JSON lines."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open(path, "ab")  # noqa: SIM115 - held open for the life of the run
        self._file.seek(0, os.SEEK_END)

    def write(self, kind: str, values: dict[str, Any]) -> None:
        """Append one line {"event": kind, ...}."""
        line = json.dumps({"event": kind, **values}, ensure_ascii=False, default=str)
        self._file.write(line.encode("utf-8", "backslashreplace") + b"\n")
        self._file.flush()

    def length_bytes(self) -> int:
        """How long the file is."""
        return self._file.tell()

    def cut(self, length_bytes: int) -> None:
        """Forget everything after `length_bytes`."""
        self._file.truncate(length_bytes)
        self._file.seek(0, os.SEEK_END)

    def close(self) -> None:
        """Close the file; writing afterwards is an error."""
        self._file.close()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a log; a last line cut short by a crash is left out."""
    lines = []
    for line in path.read_text("utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(line))
        except ValueError:
            continue
    return lines
