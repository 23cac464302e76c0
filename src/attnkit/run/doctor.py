"""Doctor: is this machine sound for attnkit, and what to do where it is not."""

import importlib
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import torch

from attnkit import __version__
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.where import Where
from attnkit.data.starter import cache_folder
from attnkit.kernels import Situation, attend, native
from attnkit.kernels.plan import KERNELS
from attnkit.kernels.rows.thresholds import entmax_
from attnkit.run.machine import describe_machine

OK, ABSENT, PROBLEM = "ok", "absent", "problem"
CORE = ("numpy", "safetensors", "pydantic", "cyclopts", "rich", "tokenizers", "scikit-learn", "scipy", "matplotlib")
EXTRAS = {
    "data": ("datasets", "pyarrow"),
    "hf": ("transformers",),
    "tune": ("optuna",),
    "multitask": ("torchjd",),
    "ship": ("onnx", "onnxscript", "onnxruntime"),
    "serve": ("fastapi", "uvicorn", "prometheus-client"),
}
# They install beside a torch they were not built for, without a word, and break what imports them.
SIBLINGS = ("torchvision", "torchaudio")
_TOLERANCE = 1e-5
# Measured with 8 heads of width 64 and 1,024 to 8,192 tokens.
_WITHOUT_LOOPS = "additive scores take 5 times as long, windows 2 to 3, sparsemax, entmax and dropout up to 1.8"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: its state ("ok", "absent", "problem"), what was seen, and what to do about a problem."""

    name: str
    state: str
    seen: str
    todo: str = ""

    def to_dict(self) -> dict[str, str]:
        """Plain data for JSON."""
        return asdict(self)


def examine() -> list[Finding]:
    """Everything worth knowing about this machine, problems included."""
    return [
        *_versions(),
        _threads(),
        *_kernels(),
        _native(),
        *(_sibling(name) for name in SIBLINGS),
        *(_extra(name, packages) for name, packages in EXTRAS.items()),
        _cache(),
    ]


def _versions() -> Iterator[Finding]:
    machine = describe_machine()
    yield Finding("python", OK, f"{machine['python']} at {sys.executable}")
    yield Finding("attnkit", OK, f"{__version__} in {Path(__file__).parents[1]}")
    yield Finding("torch", OK, f"{torch.__version__}, computing on the processor ({machine['processor']})")
    missing = [name for name in CORE if _version(name) is None]
    if missing:
        todo = f"pip install {' '.join(missing)}"
        yield Finding("libraries", PROBLEM, f"{', '.join(missing)} not installed", todo)
    else:
        yield Finding("libraries", OK, ", ".join(f"{name} {_version(name)}" for name in CORE))


def _threads() -> Finding:
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    seen = f"{threads} torch threads on {usable} usable cores"
    if threads > usable:
        return Finding(
            "cores", PROBLEM, seen, f"set OMP_NUM_THREADS={usable}: more threads than cores wait for each other"
        )
    return Finding("cores", OK, seen)


def _kernels() -> Iterator[Finding]:
    """Each kernel computes a small masked case, and must agree with the reference."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, 5, 8, generator=generator) for _ in range(3))
    keep = torch.tensor([[True, True, True, False, False], [False] * 5])
    wanted = attend(q, k, v, Pairwise(), keep=keep, kernel="reference", intent="infer")
    situation = Situation.of(q, k, v, Where.of(5, 5, keep=keep), intent="infer")
    for kernel in KERNELS:
        reason = kernel.fits(Pairwise(), situation)
        if reason:
            yield Finding(f"kernel {kernel.name}", ABSENT, f"not for this case: {reason}")
            continue
        try:
            got = attend(q, k, v, Pairwise(), keep=keep, kernel=kernel.name, intent="infer")
        except (ValueError, RuntimeError) as error:
            yield Finding(
                f"kernel {kernel.name}",
                PROBLEM,
                " ".join(str(error).split()),
                "install a torch that attnkit was tested with",
            )
            continue
        off = float((got - wanted).abs().max())
        if off <= _TOLERANCE:
            yield Finding(f"kernel {kernel.name}", OK, f"active; differs from the reference by {off:.0e}")
        else:
            todo = "say kernel='reference' until torch is replaced by a version that attnkit was tested with"
            yield Finding(f"kernel {kernel.name}", PROBLEM, f"differs from the reference by {off:.1e}", todo)


def _native() -> Finding:
    """The loops in C++ are an option, so their absence is no fault, but it has a price; wrong numbers are a fault."""
    reason = native.reason()
    if reason is not None:
        return Finding("native loops", ABSENT, f"{reason}; without them {_WITHOUT_LOOPS}")
    scores = torch.randn(3, 70, generator=torch.Generator().manual_seed(0))
    got = entmax_(scores.clone(), 1.5)
    with native.without_native():
        off = float((got - entmax_(scores.clone(), 1.5)).abs().max())
    if off <= _TOLERANCE:
        return Finding("native loops", OK, f"active, {native.level()}; differ from plain PyTorch by {off:.0e}")
    seen, todo = f"differ from plain PyTorch by {off:.1e}", "set ATTNKIT_NATIVE=0 and build them again"
    return Finding("native loops", PROBLEM, seen, todo)


def _sibling(name: str) -> Finding:
    if find_spec(name) is None:
        return Finding(name, ABSENT, "not installed, and not needed")
    try:
        importlib.import_module(name)
    except Exception as error:  # a broken binary raises whatever it likes
        seen = f"{_version(name)} is broken beside torch {torch.__version__} ({' '.join(str(error).split())[:120]})"
        return Finding(
            name, PROBLEM, seen, f"pip uninstall {name}: transformers, peft and torchmetrics fail while it is there"
        )
    return Finding(name, OK, f"{_version(name)}, sound")


def _extra(name: str, packages: tuple[str, ...]) -> Finding:
    there = [package for package in packages if _version(package) is not None]
    if len(there) == len(packages):
        return Finding(f"extra {name}", OK, ", ".join(f"{package} {_version(package)}" for package in there))
    lacking = ", ".join(package for package in packages if package not in there)
    return Finding(f"extra {name}", ABSENT, f"without {lacking}; where you need it: pip install 'attnkit[{name}]'")


def _cache() -> Finding:
    folder = cache_folder()
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Finding("cache", OK, str(folder))
    return Finding("cache", PROBLEM, f"{folder} cannot be written", "set ATTNKIT_CACHE to a folder that can")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
