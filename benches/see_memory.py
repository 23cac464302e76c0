"""What does looking cost in memory? Four causal layers of 8 heads of width 64, with and without a capture around them.

    python -m benches.see_memory [--tokens 4096 16384 32768] [--level stats]

Each call runs in a fresh process, whose peak above the interpreter with torch loaded the system counts: weights, inputs
and imports are in it. At 4,096 tokens a capture of statistics may hold 1.3 times the bare forward's peak and 64 MiB;
the longer ones have to run. Writes benches/results/DATE-see-memory.md.
"""

import argparse
import ctypes
import ctypes.util
import datetime
import json
import subprocess
import sys
from pathlib import Path

import torch

MIB = 2**20
LAYERS, HEADS, WIDTH = 4, 8, 64
BOUND_TOKENS, FACTOR, SPARE = 4096, 1.3, 64 * MIB
_STATUS = Path("/proc/self/status")


def _kibibytes(name: str) -> int:
    return next(int(line.split()[1]) for line in _STATUS.read_text().splitlines() if line.startswith(f"{name}:"))


def _trimmed() -> None:
    libc = ctypes.util.find_library("c")
    if libc is not None and hasattr(ctypes.CDLL(libc), "malloc_trim"):
        ctypes.CDLL(libc).malloc_trim(0)


def report(kind: str, how: str, tokens: int) -> None:
    """Print the peak bytes of one forward pass of `kind` ("ours" or "torch"), in inference mode."""
    torch.nn.functional.scaled_dot_product_attention(*torch.randn(3, 1, 1, 8, 8))
    _trimmed()
    before = _kibibytes("VmRSS")
    from contextlib import nullcontext

    from attnkit.attention.pairwise import Pairwise
    from attnkit.attention.pattern import Causal
    from attnkit.capture.record import capture
    from attnkit.layers import AttentionLayer

    class Torch(torch.nn.Module):
        """A layer as most models write it."""

        def __init__(self) -> None:
            super().__init__()
            self.project, self.out = (torch.nn.Linear(HEADS * WIDTH, n * HEADS * WIDTH) for n in (3, 1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            q, k, v = (one.unflatten(-1, (HEADS, WIDTH)).transpose(1, 2) for one in self.project(x).chunk(3, -1))
            mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            return self.out(mixed.transpose(1, 2).flatten(2))

    def layer() -> torch.nn.Module:
        return Torch() if kind == "torch" else AttentionLayer(HEADS * WIDTH, Pairwise(pattern=Causal()), heads=HEADS)

    model = torch.nn.Sequential(*(layer() for _ in range(LAYERS))).eval()

    def run(length: int) -> object:
        x = torch.randn(1, length, HEADS * WIDTH)
        with nullcontext() if how == "bare" else capture(model, how) as seen:  # type: ignore[arg-type]
            model(x)
        return seen

    with torch.inference_mode():
        run(64)
        _trimmed()
        Path("/proc/self/clear_refs").write_text("5")
        held = run(tokens)
    sys.stdout.write(f"{(_kibibytes('VmHWM') - before) * 1024}\n")
    del held


def peak(kind: str, how: str, tokens: int) -> int:
    """Peak bytes, counted in a process of its own."""
    command = [sys.executable, "-m", "benches.see_memory", "--report", json.dumps([kind, how, tokens])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    return int(done.stdout.split()[-1])


def main() -> int:
    """Measure all; 1 where the bound is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tokens", type=int, nargs="+", default=[4096, 16384, 32768])
    parser.add_argument("--level", nargs="+", default=["stats", "maps"])
    parser.add_argument("--report", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.report:
        report(*json.loads(given.report))
        return 0
    lines = ["| layers | tokens | bare, MiB | level | captured, MiB | ratio | bound |", "|---|---|---|---|---|---|---|"]
    print("\n".join(lines))
    broken = False
    for kind in ("ours", "torch"):
        for tokens in given.tokens:
            bare = peak(kind, "bare", tokens)
            for level in given.level:
                seen = peak(kind, level, tokens)
                bound = ""
                if tokens == BOUND_TOKENS and level == "stats":
                    most = FACTOR * bare + SPARE
                    broken |= seen > most
                    bound = f"{most / MIB:.0f} MiB: {'kept' if seen <= most else 'BROKEN'}"
                cells = [
                    kind,
                    f"{tokens:,}",
                    f"{bare / MIB:.0f}",
                    level,
                    f"{seen / MIB:.0f}",
                    f"{seen / bare:.2f}",
                    bound,
                ]
                lines.append("| " + " | ".join(cells) + " |")
                print(lines[-1], flush=True)
    if set(given.tokens) >= {4096, 16384, 32768}:
        day = datetime.datetime.now(tz=datetime.UTC).date()
        path = Path(__file__).parent / "results" / f"{day}-see-memory.md"
        head = (
            f"# What looking costs in memory, {day}\n\nPeak of one forward pass above the interpreter with torch "
            f"loaded, in a process of its own: {LAYERS} causal layers of {HEADS} heads of width {WIDTH}, batch 1, "
            f"float32, torch {torch.__version__}, threads: {torch.get_num_threads()}. Weights, inputs and imports are "
            "in both columns.\n\n"
        )
        path.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
