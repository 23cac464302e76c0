"""Does each catalogue line learn its toy problem, where the same network with a uniform map does not?

    python -m benches.toys [NAME ...]

Trains a network of one layer on fresh draws until it answers, then the same network, from the same seed and for at
least as many steps, with its map replaced by equal weights on the keys it may see. Prints the table and, without
names, writes benches/results/DATE-toys.md.
"""

import argparse
import datetime
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention, where_or_all
from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.where import Where
from attnkit.data.toys import TOYS, Toy
from attnkit.layers import AttentionLayer, AttentionPooling

WIDTH, HEADS, LENGTH, VOCABULARY, ROWS = 32, 2, 24, 8, 32
ENOUGH, GUESS = 0.95, 0.60


@dataclass(frozen=True)
class Uniform(Attention):
    """Equal weights on the keys that `of` may see."""

    of: Attention

    def matrix(self, q, k, where=None, params=None, state=None):
        """1 / n on each of n visible keys."""
        where = where_or_all(where, q, k)
        shape = (q.shape[0], q.shape[1], where.T, where.S)
        if isinstance(self.of, Pairwise):
            allowed = self.of.allowed(where)
            seen = torch.ones(shape) if allowed is None else allowed.expand(shape).to(q.dtype)
        else:
            seen = (self.of.matrix(q, k, where, params, state) != 0).to(q.dtype).detach()
        return seen / seen.sum(-1, keepdim=True).clamp(min=1)

    def parameters(self, dims):
        """Those of the operator, so that both networks begin alike."""
        return self.of.parameters(dims)


class ToyNetwork(nn.Module):
    """Token and place embedded and added, one attention, a linear map: nothing else carries a token to its answer."""

    def __init__(self, spec: Attention, toy: Toy) -> None:
        super().__init__()
        self.toy, self.stacked = toy, spec.needs_state
        self.token = nn.Embedding(VOCABULARY, WIDTH)
        self.place = nn.Embedding(toy.places(LENGTH), WIDTH)
        if toy.queries == "one":
            self.mix = AttentionPooling(WIDTH, spec, heads=HEADS)
        else:
            self.mix = AttentionLayer(WIDTH, spec, heads=HEADS)
        self.asked = nn.Embedding(LENGTH, WIDTH) if toy.queries == "places" else None
        self.below = AttentionLayer(WIDTH, spec, heads=HEADS) if self.stacked else None
        self.answer = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, inputs_BS2: Tensor) -> Tensor:
        """logits (B, T, V)."""
        x = self.token(inputs_BS2[..., 0]) + self.place(inputs_BS2[..., 1])
        B, S, _ = x.shape
        one = torch.zeros(S, dtype=torch.int64)
        where = Where.of(S, S, query_document=one, key_document=one)
        if self.toy.queries == "one":
            return self.answer(self.mix(x))
        if self.asked is not None:
            return self.answer(self.mix(self.asked.weight.expand(B, -1, -1), x, where=where))
        state = None if self.below is None else self.below.with_rows(x, where=where)[1]
        return self.answer(self.mix(x, where=where, state=state))


def accuracy(network: ToyNetwork, toy: Toy, generator: torch.Generator, rows: int) -> float:
    """Share of right answers on fresh draws."""
    inputs, targets = toy.draw(generator, rows=rows, length_tokens=LENGTH, vocabulary=VOCABULARY)
    with torch.no_grad():
        return float((network.eval()(inputs).argmax(-1) == targets).float().mean())


def learn(
    spec: Attention, toy: Toy, *, most_steps: int = 1500, least_steps: int = 0, seed: int = 0
) -> tuple[float, int]:
    """(accuracy on 1,000 fresh rows, steps taken); training ends once 256 fresh rows are 99 % right."""
    torch.manual_seed(seed)
    network = ToyNetwork(spec, toy)
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)
    step = 0
    for step in range(1, most_steps + 1):
        inputs, targets = toy.draw(generator, rows=ROWS, length_tokens=LENGTH, vocabulary=VOCABULARY)
        loss = nn.functional.cross_entropy(network.train()(inputs).flatten(0, 1), targets.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 50 == 0 and step >= least_steps and accuracy(network, toy, generator, 256) >= 0.99:
            break
    return accuracy(network, toy, generator, 1000), step


@dataclass(frozen=True)
class Result:
    """What became of one line."""

    name: str
    toy: str
    learned: float
    uniform: float
    steps: int
    seconds: float

    @property
    def ok(self) -> bool:
        """Learned, and not without attention."""
        return self.learned >= ENOUGH and self.uniform <= GUESS


def examine(name: str) -> Result:
    """Train the line and its uniform twin."""
    entry, begun = CATALOGUE[name], time.process_time()
    toy = TOYS[entry.toy]
    learned, steps = learn(entry.operator, toy)
    uniform, _ = learn(Uniform(entry.operator), toy, most_steps=max(steps, 400), least_steps=max(steps, 400))
    return Result(name, entry.toy, learned, uniform, steps, time.process_time() - begun)


def table(results: Iterable[Result]) -> str:
    """The results as Markdown."""
    head = "| operator | toy | learned | uniform map | as asked | steps | CPU seconds |\n|---|---|---|---|---|---|---|"
    rows = []
    for r in results:
        verdict = "yes" if r.ok else "**no**"
        figures = f"{r.learned:.3f} | {r.uniform:.3f} | {verdict} | {r.steps} | {r.seconds:.1f}"
        rows.append(f"| {r.name} | {r.toy} | {figures} |")
    return "\n".join([head, *rows])


def main() -> int:
    """Run the lines named, or all; 1 where one fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="catalogue lines; all where none is given")
    names = parser.parse_args().names or list(CATALOGUE)
    torch.set_num_threads(1)
    results = []
    for name in names:
        results.append(examine(name))
        print(table(results[-1:]).splitlines()[-1], flush=True)
    if len(names) == len(CATALOGUE) and all(result.ok for result in results):
        today = datetime.date.today().isoformat()
        path = Path(__file__).parent / "results" / f"{today}-toys.md"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# Toy problems, {today}\n\n{PROTOCOL}\n\n{table(results)}\n", encoding="utf-8")
        print(f"written to {path}")
    return 0 if all(result.ok for result in results) else 1


PROTOCOL = (
    f"One attention layer ({HEADS} heads, width {WIDTH}) on sequences of {LENGTH} tokens out of {VOCABULARY}, no "
    f"residual path; Adam 5e-3, batches of {ROWS} fresh rows, until 256 fresh rows are 99 % right; accuracy on 1,000 "
    f"fresh rows, seed 0, torch {torch.__version__}, one thread. Guessing is {1 / VOCABULARY:.3f}. The uniform map is "
    f"the same network with equal weights on the visible keys, trained at least as long. Asked: at least {ENOUGH} and "
    f"at most {GUESS}."
)


if __name__ == "__main__":
    sys.exit(main())
