"""A network that one attention has to answer for, and how it learns a toy problem beside its uniform twin."""

import time
from dataclasses import dataclass

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
    def row(self) -> str:
        """The result as a row of a Markdown table."""
        verdict = "yes" if self.ok else "**no**"
        figures = f"{self.learned:.3f} | {self.uniform:.3f} | {verdict} | {self.steps} | {self.seconds:.1f}"
        return f"| {self.name} | {self.toy} | {figures} |"

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
