"""Several processes that train together, as torchrun starts them: told by their environment who they are."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# A call may say at which step the whole group is killed, as a machine that loses its power kills it.
SCRIPT = """
import json, os, signal, sys
import torch
torch.set_num_threads(1)
from attnkit.train import train
from attnkit.train.parallel.processes import joined

def dies_at(step):
    def listen(event):
        if event.kind == "step" and event.values["step"] == step:
            os.killpg(0, signal.SIGKILL)
    return listen

with joined():
    for call in json.loads(sys.argv[1]):
        try:
            train(progress=dies_at(call.pop("killed_at", 0)), **call)
        except ValueError as error:
            print(f"refused: {error}", flush=True)
"""


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the sources on the path and one thread."""
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    quiet = {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR"}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **quiet, **more}


def train_together(size: int, calls: list[dict[str, Any]]) -> tuple[list[int], list[str]]:
    """The exit codes of `size` processes of one group that make the calls of `train` together, and what they said."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    told = json.dumps(calls, default=str)
    processes: list[subprocess.Popen[str]] = []
    for rank in range(size):
        named = {"RANK": str(rank), "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        processes.append(
            subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", SCRIPT, told],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                cwd=ROOT,
                env=environment(**named),
                process_group=processes[0].pid if processes else 0,
            )
        )
    try:
        said = [process.communicate(timeout=280)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], said
