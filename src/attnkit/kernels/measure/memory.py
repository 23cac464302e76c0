"""Memory: the most that a call holds beside its inputs, measured in a process of its own."""

import ctypes
import ctypes.util
import json
import subprocess
import sys
from pathlib import Path

from attnkit.attention.base import Attention
from attnkit.attention.catalogue import CATALOGUE, named
from attnkit.attention.plain import from_plain, to_plain
from attnkit.kernels.measure.question import situation_of
from attnkit.kernels.measure.questions import questions
from attnkit.kernels.measure.side import Shape, Side, ours
from attnkit.kernels.plan import plan

_STATUS = Path("/proc/self/status")
# Fields that say for how many tokens a part is built.
_GREATEST = ("max_keys", "max_positions")


def peak_bytes(name: str, tokens: int, gradients: bool, heads: int = 8) -> int | None:
    """Peak resident bytes beside the inputs of a question's side or of a catalogue line; None where not known.

    A fresh process runs it once on few tokens, gives back what is free, and has the kernel count from there. Only Linux
    counts it.

    Raises: RuntimeError with the last line of what the process said, where it failed.
    """
    if not _STATUS.exists():
        return None
    asked = json.dumps([name, tokens, gradients, heads])
    command = [sys.executable, "-m", "attnkit.kernels.measure.memory", asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no word"])[-1])
    return int(done.stdout.split()[-1])


def side_called(name: str, tokens: int, heads: int) -> Side:
    """Our side of the question so called, or the catalogue's operator, on so many tokens and heads.

    Raises: ValueError where there is neither.
    """
    if name not in CATALOGUE:
        for question in questions():
            if question.name == name and tokens == question.ours.shape.T:
                return question.ours
        raise ValueError(f"there is no question and no catalogue line {name!r} with {tokens} tokens")
    # The one line that cannot be called without ids.
    documents = 16 if name == "documents" else 0
    return ours(_lengthened(named(name), tokens), Shape(tokens, H=heads), name, documents=documents)


def _lengthened(spec: Attention, tokens: int) -> Attention:
    """The operator built for as many tokens, where it is built for a greatest number of them."""

    def longer(value: object) -> object:
        if isinstance(value, list):
            return [longer(one) for one in value]
        if not isinstance(value, dict):
            return value
        return {key: max(one, tokens) if key in _GREATEST else longer(one) for key, one in value.items()}

    made = from_plain(longer(to_plain(spec)))
    assert isinstance(made, Attention)
    return made


def estimate(side: Side, gradients: bool) -> int:
    """What the plan says that a call holds at its peak, in bytes."""
    assert side.spec is not None
    cost = plan(side.spec, situation_of(side, gradients)).cost
    assert cost is not None
    return cost.peak_bytes


def _report(name: str, tokens: int, gradients: bool, heads: int) -> None:
    side = side_called(name, tokens, heads)
    side.at_most(64).task(gradients)()
    task = side.task(gradients)
    libc = ctypes.util.find_library("c")
    if libc is not None and hasattr(ctypes.CDLL(libc), "malloc_trim"):
        ctypes.CDLL(libc).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before = _kibibytes("VmRSS")
    held = task()
    sys.stdout.write(f"{(_kibibytes('VmHWM') - before) * 1024}\n")
    del held


def _kibibytes(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1])
    raise RuntimeError(f"{_STATUS} has no line {name}")


if __name__ == "__main__":
    _report(*json.loads(sys.argv[1]))
