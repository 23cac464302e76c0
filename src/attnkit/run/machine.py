"""What a run was made on: versions, cores, seconds, peak memory."""

import os
import platform
import resource
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


class Stopwatch:
    """Wall and processor seconds since it was made."""

    def __init__(self) -> None:
        self.wall, self.processor = time.monotonic(), time.process_time()

    def seconds(self) -> tuple[float, float]:
        """(wall seconds, processor seconds)."""
        return time.monotonic() - self.wall, time.process_time() - self.processor


def describe_machine() -> dict[str, Any]:
    """Versions and sizes of this machine, as plain data."""
    import torch

    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "versions": {name: _version(name) for name in ("attnkit", "torch", "numpy", "tokenizers", "scikit-learn")},
    }


def peak_bytes() -> int:
    """The most memory this process has held."""
    # Linux's other count, `ru_maxrss`, begins in a child at what its parent held when it was started.
    status = Path("/proc/self/status")
    if status.exists():
        held = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        if held:
            return int(held[0]) * 1024
    # Kernels count in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed as a package"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
