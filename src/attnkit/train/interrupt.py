"""Ctrl-C as a wish: the step ends, the state is saved, then training stops."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from attnkit.errors import FailedError


class Interrupted(FailedError):
    """Training was stopped by Ctrl-C after saving; `path` is the unfinished run."""

    def __init__(self, sentence: str, path: str) -> None:
        super().__init__(sentence)
        self.path = path


class CtrlC:
    """While the block runs and `gentle` is set, the first Ctrl-C only sets `asked`; any other interrupts at once."""

    def __init__(self) -> None:
        self.asked = False
        self.gentle = False
        self._before: Any = None

    def __enter__(self) -> "CtrlC":
        # Python lets the main thread alone set handlers; elsewhere Ctrl-C is not ours to catch.
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked or not self.gentle:
            raise KeyboardInterrupt
        self.asked = True
