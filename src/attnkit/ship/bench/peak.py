"""What a process holds at its most that opens one form and answers one batch; Linux alone counts it."""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from attnkit.ship.bench.forms import Ready

_RUN = "import runpy, sys; del sys.argv[0]; runpy.run_path(sys.argv[0], run_name='__main__')"


def peak_of(ready: Ready, name: str, rows: int, tokens: int, threads: int) -> int | None:
    """Peak bytes of a fresh process with this form, interpreter and libraries included; None where not known.

    Warns: UserWarning with the reason where that process failed.
    """
    if not Path("/proc/self/status").exists() or (ready.model is None and ready.run is None):
        return None
    with tempfile.TemporaryDirectory(prefix="attn-") as folder:
        model = Path(folder) / "model.onnx"
        if ready.model is not None:
            model.write_bytes(ready.model)
        asked: dict[str, Any] = {"name": name, "rows": rows, "tokens": tokens, "threads": threads}
        asked |= {"run": str(ready.run)} if ready.model is None else {"model": str(model)}
        # By its path, since with -m the packages that hold it would be imported, and torch with them.
        script = Path(__file__).with_name("peak_process.py")
        command = [sys.executable, "-c", _RUN, str(script), json.dumps(asked)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        told = done.stderr.strip().splitlines()
        # A process that the system ended, for the memory it took, says nothing.
        reason = told[-1][:200] if told else f"it ended with {done.returncode}"
        warnings.warn(f"the peak memory of {name} is not known, as its process failed: {reason}", stacklevel=2)
        return None
    return int(done.stdout.split()[-1])
