"""A launched process: it joins the others, trains with them, and leaves word of how it ended."""

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import torch

from attnkit.files import write_text
from attnkit.run.recipe import recipe_from_plain
from attnkit.train.events import Event
from attnkit.train.interrupt import Interrupted
from attnkit.train.parallel.launch import CALL, DONE, EVENTS
from attnkit.train.parallel.processes import LOST, LostError
from attnkit.train.training import train

_LOOKS_A_SECOND = 4


def main(folder: str) -> int:
    """Train what the call in `folder` says, with the processes that were launched beside this one; the exit code.

    Where the folder is gone, so is whoever made it, and nobody is left to tell how this process ends.
    """
    place = Path(folder)
    try:
        return _work(place, os.environ["RANK"])
    except FileNotFoundError:
        if place.exists():
            raise
        return 1


def _work(place: Path, rank: str) -> int:
    write_text(place / f"{rank}.pid", str(os.getpid()))
    call = json.loads((place / CALL).read_text("utf-8"))
    # Known from the call: whoever launched this process may be gone before its first line is read.
    threading.Thread(target=_end_with, args=(call["launcher"],), daemon=True).start()
    torch.set_num_threads(call["threads"])
    if "lo" in {name for _, name in socket.if_nameindex()}:
        # One machine: nothing need be heard outside it, and its name need not be known.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    recipe, options = call["recipe"], call["options"]
    try:
        if isinstance(recipe, dict):
            recipe = recipe_from_plain(recipe, "the recipe", allow_code=options["allow_code"])
        with warnings.catch_warnings(action="default" if sys.warnoptions else "ignore"):
            run = train(call["data"], recipe=recipe, progress=Told(place / EVENTS), **options)
    except BaseException as error:
        # Whatever ends it, the process that launched it must be able to say what.
        end = {"kind": _kind(error), "sentence": str(error), "path": getattr(error, "path", "")}
        write_text(place / f"{rank}.end", json.dumps({**end, "trace": traceback.format_exc()}))
        return 1
    if rank == "0":
        write_text(place / DONE, str(run.path))
    return 0


class Told:
    """A listener that writes events to a file, one JSON line each, for the process that launched this one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, event: Event) -> None:
        """Write one event."""
        line: dict[str, Any] = {"kind": event.kind, "values": event.values}
        with open(self.path, "ab") as file:
            file.write(json.dumps(line, default=str).encode() + b"\n")


def _kind(error: BaseException) -> str:
    for kind in (LostError, Interrupted):
        if isinstance(error, kind):
            return LOST if kind is LostError else kind.__name__
    return next((base.__name__ for base in type(error).__mro__ if base.__name__ in _SAID), type(error).__name__)


_SAID = ("UsageError", "FailedError", "KeyboardInterrupt")


def _end_with(parent: int) -> None:
    """Ask this process to save and end once the one that launched it is gone."""
    while os.getppid() == parent:
        time.sleep(1 / _LOOKS_A_SECOND)
    os.kill(os.getpid(), signal.SIGINT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
