"""How does the peak memory of each operator grow with its length, and how near is the plan's estimate?

    python -m benches.memory [NAME ...] [--tokens 2048 4096 8192 16384] [--heads 2]

Each call runs forward and backward in a fresh process, whose own peak the system counts. Linear: at most 2.6 times the
bytes for twice the tokens between the two longest, above 48 MiB of noise. Without names writes
benches/results/DATE-memory.md.
"""

import argparse
import datetime
import sys
from pathlib import Path

from attnkit.attention.catalogue import CATALOGUE
from attnkit.kernels.measure.memory import estimate, peak_bytes, side_called
from attnkit.kernels.measure.question import kernel_of

MIB = 2**20


def main() -> int:
    """Measure the lines named, or all; 1 where more than five are not linear."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="catalogue lines; all where none is given")
    parser.add_argument("--tokens", type=int, nargs="+", default=[2048, 4096, 8192, 16384])
    parser.add_argument("--heads", type=int, default=2)
    given = parser.parse_args()
    columns = [
        "operator",
        "kernel",
        *(f"{tokens} tokens, MiB (estimate)" for tokens in given.tokens),
        "growth",
        "linear",
    ]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    print("\n".join(lines))
    not_linear = []
    for name in given.names or CATALOGUE:
        cells, found = [], []
        try:
            for tokens in given.tokens:
                side = side_called(name, tokens, given.heads)
                bytes_ = peak_bytes(name, tokens, True, given.heads) or 0
                found.append(bytes_)
                cells.append(f"{bytes_ / MIB:.0f} ({estimate(side, True) / MIB:.0f})")
        except RuntimeError as error:
            not_linear.append(name)
            lines.append(f"| {name} | {error} |" + " |" * (len(columns) - 2))
            print(lines[-1], flush=True)
            continue
        growth = found[-1] / max(1, found[-2])
        linear = growth <= 2.6 or found[-1] <= 48 * MIB
        if not linear:
            not_linear.append(name)
        kernel = kernel_of(side, True)
        row = [name, kernel, *cells, f"{growth:.1f}", "yes" if linear else "NO"]
        lines.append("| " + " | ".join(row) + " |")
        print(lines[-1], flush=True)
    if not given.names:
        today = datetime.date.today().isoformat()
        path = Path(__file__).parent / "results" / f"{today}-memory.md"
        head = f"# Peak memory, {today}\n\nForward and backward, B=1, H={given.heads}, D=64, float32, one thread."
        path.write_text(f"{head}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
        print(f"written to {path}")
    return 0 if len(not_linear) <= 5 else 1


if __name__ == "__main__":
    sys.exit(main())
