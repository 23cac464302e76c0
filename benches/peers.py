"""How do our local and sparse attention stand beside the packages that people use for them?

    python -m benches.peers [--pairs 9] [--seconds 60]

Beside local-attention (causal window), entmax (sparsemax and entmax 1.5 on the whole map) and torch's compiled
flex_attention (forward, its seconds of compiling shown). The packages come with the extra `dev`. Each
other side is first held to ours where it computes the same. Writes benches/results/DATE-peers.md.
"""

import argparse
import datetime
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from attnkit import Pairwise, attend
from attnkit.attention.normalizer import Entmax, Sparsemax
from attnkit.attention.pattern import Window
from attnkit.kernels import native
from attnkit.kernels.measure.pairs import measured

Mixed = Callable[[Tensor, Tensor, Tensor], Tensor]
COLUMNS = ("ours", "other", "passes", "shape", "times sooner", "pairs", "largest difference", "note")


def main() -> int:
    """Measure and write; 1 where the other side computes the same and differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=60.0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    wrong = False

    def ask(
        ours: str,
        other: str,
        first: Mixed,
        second: Mixed,
        tokens: int,
        heads: int,
        gradients: bool,
        note: str = "",
        same: bool = True,
    ) -> None:
        nonlocal wrong
        leaves = [torch.randn(1, heads, tokens, 64, requires_grad=gradients) for _ in range(3)]
        with torch.no_grad():
            apart = float((first(*leaves) - second(*leaves)).abs().max())
        wrong = wrong or (same and apart > 1e-4)
        ratio = measured(_run(second, leaves, gradients), _run(first, leaves, gradients), given.pairs, given.seconds)
        passes = "forward and backward" if gradients else "forward"
        shape = f"H={heads} T={tokens} D=64"
        lines.append(
            "| " + " | ".join((ours, other, passes, shape, str(ratio), str(ratio.pairs), f"{apart:.0e}", note)) + " |"
        )
        print(lines[-1], flush=True)

    print("\n".join(lines))
    window = Pairwise(pattern=Window(256, causal=True))
    for loops in ("native", "plain"):
        if loops == "native" and native.library() is None:
            continue
        ours = _ours(window, loops)
        label = f"causal window of 256, {loops}"
        for gradients in (False, True):
            ask(
                label,
                "local-attention",
                ours,
                _local_attention(256),
                8192,
                8,
                gradients,
                "its windows look back 256 to 511",
                same=False,
            )
        flexed, seconds = _flex(256)
        ask(label, "flex_attention, compiled", ours, flexed, 8192, 8, False, f"{seconds:.0f} s to compile")
        for name, spec, package in (
            ("sparsemax", Pairwise(normalizer=Sparsemax()), "sparsemax"),
            ("entmax 1.5", Pairwise(normalizer=Entmax(1.5)), "entmax15"),
        ):
            for gradients in (False, True):
                ask(f"{name}, {loops}", "entmax", _ours(spec, loops), _entmax(package), 2048, 2, gradients)
    today = datetime.date.today().isoformat()
    path = Path(__file__).parent / "results" / f"{today}-peers.md"
    head = f"# Beside other packages, {today}\n\ntorch {torch.__version__}, one thread, float32, B=1; process CPU time."
    path.write_text(f"{head}\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    print(f"written to {path}")
    return int(wrong)


def _run(mixed: Mixed, leaves: list[Tensor], gradients: bool) -> Callable[[], object]:
    def forward() -> object:
        with torch.no_grad():
            return mixed(*leaves)

    def both() -> object:
        return torch.autograd.grad(mixed(*leaves).sum(), leaves)

    return both if gradients else forward


def _ours(spec: Pairwise, loops: str) -> Mixed:
    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        if loops == "native":
            return attend(q, k, v, spec)
        with native.without_native():
            return attend(q, k, v, spec)

    return call


def _local_attention(width: int) -> Mixed:
    from local_attention import LocalAttention

    return LocalAttention(window_size=width, causal=True, use_rotary_pos_emb=False, exact_windowsize=False)


def _entmax(name: str) -> Mixed:
    import entmax

    function = getattr(entmax, name)

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return function(q @ k.mT * q.shape[-1] ** -0.5, dim=-1) @ v

    return call


def _flex(width: int) -> tuple[Mixed, float]:
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    def meets(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        return (j <= i) & (j > i - width)

    mask = create_block_mask(meets, None, None, 8192, 8192, device="cpu")
    compiled = torch.compile(flex_attention)

    def call(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return compiled(q, k, v, block_mask=mask)

    began = time.perf_counter()
    with torch.no_grad():
        call(*(torch.randn(1, 8, 8192, 64) for _ in range(3)))
    return call, time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
