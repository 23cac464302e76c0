"""What do the statistics of a map cost beside the attention itself, and beside statistics of a map that is kept?

    python -m benches.see_statistics [WORD ...] [--pairs 21] [--seconds 240] [--tokens 8192] [--threads 1]

Six statistics of every row together (entropy, distance, sink, received weight, eight heaviest keys, pooled map), then
all there are, each timed turn about with the fused forward pass of the same attention; then the usual way, softmax
attention with its map kept and the six counted on it. Every number is first held to the dense map in float64 on few
tokens; where one differs nothing is timed. Prints the table and, without words, writes
benches/results/DATE-see-statistics.md.
"""

import argparse
import ctypes
import ctypes.util
import datetime
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal
from attnkit.attention.where import Where
from attnkit.capture.captured import CapturedLayer, Wanted
from attnkit.capture.measure import measure
from attnkit.kernels.measure.pairs import measured
from attnkit.layers.taps import Seen

HEADS, WIDTH, BLOCKS, EDGES = 8, 64, 64, 8
SIX = ("entropy", "distance", "sink", "received")
TOLERANCE, FEW = 1e-5, 700
COLUMNS = ("what", "over fused forward", "asked", "kept", "peak MiB", "wall", "pairs")
PROTOCOL = (
    f"torch {torch.__version__}, float32, one text, {HEADS} heads of {WIDTH}, nothing sampled. The ratio is that of "
    "the statistics alone, queries, keys and values given, over `F.scaled_dot_product_attention` forward (causal over "
    "causal): median over interleaved pairs of process CPU times, with the half-width of its 95 % interval; `wall` is "
    "the same of wall time. Peak: resident memory beside the inputs, in a fresh process. Before anything is timed the "
    f"numbers are compared with the dense map in float64 on {FEW} tokens, at most {TOLERANCE} apart, relative to the "
    "larger of one and the number."
)


@dataclass(frozen=True)
class Question:
    """One way to the numbers, the most that it may take, and a pattern."""

    name: str
    causal: bool
    run: Callable[[Seen], object]
    asked: float | None


def seen(tokens: int, causal: bool) -> Seen:
    """A call of one attention on numbers that were drawn."""
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(1, HEADS, tokens, WIDTH, generator=generator) for _ in range(3))
    spec = Pairwise(pattern=Causal()) if causal else Pairwise()
    out = F.scaled_dot_product_attention(q, k, v, is_causal=causal)
    return Seen("layer", spec, q, k, v, Where.of(tokens, tokens), {}, None, out)


def six(one: Seen) -> CapturedLayer:
    """The six of the promise."""
    return measure(one, "self", Wanted("maps", SIX, blocks=BLOCKS, edges=EDGES))


def every(one: Seen) -> CapturedLayer:
    """All statistics, edges and the pooled map."""
    return measure(one, "self", Wanted("maps", blocks=BLOCKS, edges=EDGES))


def eager(one: Seen) -> Tensor:
    """The map itself, as eager attention makes and keeps it, and the mixed values."""
    T = one.where.T
    scores = one.q_BHTD @ one.k_BGSD.mT * WIDTH**-0.5
    if isinstance(one.spec, Pairwise) and isinstance(one.spec.pattern, Causal):
        scores = scores + torch.full((T, T), float("-inf")).triu(1)
    weights = scores.softmax(-1)
    _ = weights @ one.v_BGSE
    return weights


def dense_six(one: Seen, a: Tensor | None = None) -> dict[str, Tensor]:
    """The same six, counted on a kept map."""
    a = eager(one) if a is None else a
    T = one.where.T
    i = torch.arange(T)
    found = {
        "entropy": -torch.xlogy(a, a).sum(-1),
        "distance": (a * (i[:, None] - i).abs()).sum(-1),
        "sink": a[..., 0],
        "received": a.sum(2),
    }
    size = -(-T // BLOCKS)
    member = (i[:, None] // size == torch.arange(-(-T // size))).to(a.dtype)
    found["pooled"] = (member.mT @ (a @ member)) / member.sum(0)[:, None]
    found["edges"] = a.topk(EDGES, dim=-1).values
    return found


def largest_difference(causal: bool) -> float:
    """Between the six of the sweep and those of the dense map in float64."""
    one = seen(FEW, causal)
    scores = one.q_BHTD.double() @ one.k_BGSD.double().mT * WIDTH**-0.5
    if causal:
        scores = scores + torch.full((FEW, FEW), float("-inf")).triu(1)
    layer, want = six(one), dense_six(one, scores.softmax(-1))
    assert layer.pooled is not None and layer.edges is not None
    got = layer.statistics | {"pooled": layer.pooled.mass_BHRC, "edges": layer.edges.weight_BHTN}
    assert got.keys() == want.keys()
    return max(float(((got[n].double() - want[n]) / want[n].abs().clamp(min=1.0)).abs().max()) for n in want)


def questions() -> list[Question]:
    """All of them."""
    return [
        Question("six statistics", False, six, 1.6),
        Question("every statistic", False, every, 3.0),
        Question("six statistics, causal", True, six, None),
        Question("every statistic, causal", True, every, None),
        Question("eager with its map", False, eager, None),
        Question("eager, six counted on its map", False, dense_six, None),
    ]


def peak_mebibytes(name: str, tokens: int) -> float | None:
    """Of one question, in a fresh process; None where the system does not count."""
    if not Path("/proc/self/clear_refs").exists():
        return None
    asked = json.dumps([name, tokens])
    command = [sys.executable, "-m", "benches.see_statistics", "--peak", asked]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1024


def report_peak(name: str, tokens: int) -> None:
    """Print the KiB that a question holds at most beside its inputs."""
    question = next(one for one in questions() if one.name == name)
    question.run(seen(64, question.causal))
    one = seen(tokens, question.causal)
    libc = ctypes.util.find_library("c")
    if libc is not None and hasattr(ctypes.CDLL(libc), "malloc_trim"):
        ctypes.CDLL(libc).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _kibibytes("VmRSS")
    held = question.run(one)
    print(_kibibytes("VmHWM") - before)
    del held


def _kibibytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


def main() -> int:
    """Ask the questions named, or all; 1 where a number is wrong or a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="questions that hold one of them; all where none is given")
    parser.add_argument("--pairs", type=int, default=21)
    parser.add_argument(
        "--seconds", type=float, default=240.0, help="most seconds a question may take, from 5 pairs on"
    )
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.peak:
        report_peak(*json.loads(given.peak))
        return 0
    for causal in (False, True):
        off = largest_difference(causal)
        if off > TOLERANCE:
            print(f"the numbers are {off:.2g} from those of the dense map, more than {TOLERANCE}: nothing is timed")
            return 1
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    print("\n".join(lines))
    good = True
    for question in questions():
        if given.words and not any(word in question.name for word in given.words):
            continue
        one = seen(given.tokens, question.causal)

        def forward(one: Seen = one, causal: bool = question.causal) -> Tensor:
            return F.scaled_dot_product_attention(one.q_BHTD, one.k_BGSD, one.v_BGSE, is_causal=causal)

        def counted(one: Seen = one, run: Callable[[Seen], object] = question.run) -> object:
            return run(one)

        ratio = measured(counted, forward, given.pairs, given.seconds)
        kept = None if question.asked is None else ratio.median <= question.asked
        good = good and kept is not False
        peak = peak_mebibytes(question.name, given.tokens)
        cells = (
            question.name,
            str(ratio),
            "" if question.asked is None else f"<= {question.asked}",
            {None: "", True: "yes", False: "NO"}[kept],
            "" if peak is None else f"{peak:.0f}",
            f"{ratio.wall:.2f}",
            str(ratio.pairs),
        )
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    if not given.words:
        today = datetime.date.today().isoformat()
        path = Path(__file__).parent / "results" / f"{today}-see-statistics.md"
        head = f"# Statistics of a map, {given.tokens} tokens, {today}, {given.threads} thread"
        path.write_text(f"{head}\n\n{PROTOCOL}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
        print(f"written to {path}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
