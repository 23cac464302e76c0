"""Several processes that train together, as torchrun starts them: told by their environment who they are."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
import torch
torch.set_num_threads(1)
from attnkit.train import train
from attnkit.train.parallel.processes import joined
with joined():
    for call in json.loads(sys.argv[1]):
        try:
            train(**call)
        except ValueError as error:
            print(f"{call['out']}: {error}", flush=True)
"""


def environment(**more: str) -> dict[str, str]:
    """This process's environment, with the sources on the path and one thread."""
    paths = [str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    quiet = {"OMP_NUM_THREADS": "1", "TORCH_CPP_LOG_LEVEL": "ERROR", "GLOO_SOCKET_IFNAME": "lo"}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), **quiet, **more}


def start(size: int, calls: list[dict[str, Any]]) -> list["subprocess.Popen[str]"]:
    """`size` processes that make each call of `train` together; sockets of the loopback carry what they say."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    told = json.dumps(calls, default=str)
    return [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, told],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
            env=environment(RANK=str(rank), WORLD_SIZE=str(size), MASTER_ADDR="127.0.0.1", MASTER_PORT=port),
        )
        for rank in range(size)
    ]  # fmt: skip


def train_together(size: int, calls: list[dict[str, Any]]) -> list[str]:
    """What each of `size` processes said while they made the calls; all have ended well."""
    processes = start(size, calls)
    said = [process.communicate(timeout=280)[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * size, said
    return said
