"""What does each kernel cost beside plain attention, and are the promises kept?

    python -m benches.kernels [WORD ...] [--pairs 51] [--seconds 240] [--threads 1]

Asks the questions of `attn kernels` at their full sizes: each kernel is first held to the reference in float64, forward
and in every gradient, and then timed turn about with the other side. Prints the table and, without words, writes
benches/results/DATE-kernels.md.
"""

import argparse
import datetime
import sys
from pathlib import Path

import torch

from attnkit.kernels import native
from attnkit.kernels.measure.equality import TOKENS
from attnkit.kernels.measure.question import COLUMNS, answers
from attnkit.kernels.measure.questions import asked

PROTOCOL = (
    f"torch {torch.__version__}, native loops {native.level() or 'not built'}, float32 unless said. Before a question "
    f"is timed its kernel is held to the reference in float64 on at most {TOKENS} tokens: output and every gradient "
    "within twice the error of plain computation in the same type. Ratio: median over interleaved pairs of process CPU "
    "times, with the half-width of its 95 % interval; `wall` is the same of wall time; `pairs` how many."
)


def main() -> int:
    """Ask the questions named, or all; 1 where an answer is wrong or breaks a promise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="questions that hold one of them; all where none is given")
    parser.add_argument("--pairs", type=int, default=51)
    parser.add_argument(
        "--seconds", type=float, default=240.0, help="most seconds a question may take, from 5 pairs on"
    )
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    columns = (*COLUMNS, "wall", "pairs")
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    print("\n".join(lines))
    kept = True
    for question in asked(tuple(given.words), full=True):
        for one in answers(question, given.pairs, given.seconds):
            kept = kept and one.kept is not False
            more = (f"{one.ratio.wall:.2f}", str(one.ratio.pairs)) if one.ratio else ("", "")
            lines.append("| " + " | ".join((*one.row(), *more)) + " |")
            print(lines[-1], flush=True)
    if not given.words:
        today = datetime.date.today().isoformat()
        path = Path(__file__).parent / "results" / f"{today}-kernels.md"
        threads = f"{given.threads} thread{'s' * (given.threads > 1)}"
        path.write_text(f"# Kernels, {today}, {threads}\n\n{PROTOCOL}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
        print(f"written to {path}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
