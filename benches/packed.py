"""How many more real tokens a second does a training step take when its texts are packed end to end?

    ATTNKIT_DATA=FOLDER python -m benches.packed [--short] [--seconds 45]

Trains a transformer of 6 layers on IMDb, 32 texts a step drawn at random, packed; and the same texts as one padded
batch, and as 8 padded sub-batches of 4 of like length with their gradients summed. Logits and gradients are compared
first, in double precision and in single; where they differ nothing is timed. Prints the table and, unless --short,
writes benches/results/DATE-packed.md.
"""

import argparse
import datetime
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from attnkit.data.batches import bucket_batches, pack, random_batches
from attnkit.data.examples import to_examples
from attnkit.data.readers import read
from attnkit.data.schema import infer_schema
from attnkit.data.tokens import fit
from attnkit.kernels.measure.pairs import Ratio, measured
from attnkit.kernels.packed import Pieces
from attnkit.model.build import build_model
from attnkit.model.settings import ModelSettings
from attnkit.run.allocator import keep_freed_memory

TEXTS, VOCABULARY, ROWS, SUB_ROWS = 6000, 30_000, 32, 4
# Where texts are cut: usually, and where about 37 % of a padded batch of 32 is real.
USUAL, SPARSE = 512, 750
DOUBLE, SINGLE = 1e-10, 1e-4
COLUMNS = ("a step is", "against", "real tokens", "ratio", "wall", "pairs", "asked")
PROTOCOL = (
    f"torch {torch.__version__}, one thread, float32. IMDb, the first {TEXTS:,} training rows, {VOCABULARY:,} known "
    "words. 6 layers unless said, width 256, 4 heads, scaled dot product, additive pooling, no dropout unless said; a "
    "step is forward, backward, clipping and AdamW, on the same texts for both sides, other texts in each pair. Ratio: "
    "median over interleaved pairs of process CPU times, other side over packed, with the half-width of its 95 % "
    "interval; `wall` is the same of wall time. Before anything is timed, logits and all gradients are compared: at "
    f"most {DOUBLE} apart in double precision, {SINGLE} of the largest in single."
)
Texts = list[list[int]]
Step = Callable[[Texts], object]


@dataclass(frozen=True)
class Question:
    """Two ways to train on the same texts, and what is asked of the ratio; without it the ratio is a fact.

    `real` is the share of real tokens in one padded batch.
    """

    step: str
    against: str
    steps: list[Texts]
    real: float
    packed: Step
    other: Step
    asked: float | None

    def answer(self, pairs: int, seconds: float) -> tuple[Ratio, str]:
        """The ratio, and its row of the table."""
        ratio = measured(_turns(self.other, self.steps), _turns(self.packed, self.steps), pairs, seconds)
        asked = "" if self.asked is None else f"at least {self.asked}"
        cells = (self.step, self.against, f"{self.real:.0%}", ratio, f"{ratio.wall:.2f}", ratio.pairs, asked)
        return ratio, "| " + " | ".join(map(str, cells)) + " |"


def _turns(step: Step, steps: list[Texts]) -> Callable[[], None]:
    turn = iter(range(1_000_000))

    def take() -> None:
        step(steps[next(turn) % len(steps)])

    return take


class Trainer:
    """One network, and a step of it on texts that stand padded, in sub-batches or packed."""

    def __init__(self, layers: int = 6, dropout: float = 0.0, dtype: torch.dtype = torch.float32) -> None:
        settings = ModelSettings(
            encoder="transformer", layers=layers, heads=4, width=256, embedding_width=256, hierarchical=False,
            words_beside=False, beside=("max",), ngrams=0, word_dropout=0.0, embedding_dropout=dropout, dropout=dropout,
        )  # fmt: skip
        torch.manual_seed(0)
        self.model = build_model(settings, VOCABULARY, 2).to(dtype).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5)

    def padded(self, texts: Texts) -> Tensor:
        """One batch, padded to its longest text."""
        return self._step([texts], _pad)

    def sub_batches(self, texts: Texts) -> Tensor:
        """Texts of like length padded to the longest of four, their gradients summed."""
        ordered = sorted(texts, key=len)
        return self._step([ordered[at : at + SUB_ROWS] for at in range(0, len(texts), SUB_ROWS)], _pad)

    def packed(self, texts: Texts) -> Tensor:
        """All texts end to end, the shortest first."""
        return self._step([sorted(texts, key=len)], _pack)

    def _step(self, groups: list[Texts], gather: Callable[[Texts], tuple[Tensor, Tensor | Pieces]]) -> Tensor:
        self.optimizer.zero_grad(set_to_none=True)
        rows = sum(map(len, groups))
        found = []
        for texts in groups:
            logits = self.model(*gather(texts))
            # The label is the first word's parity: any that goes with its text in every order.
            targets = torch.tensor([ids[0] % 2 for ids in texts])
            (nn.functional.cross_entropy(logits, targets, reduction="sum") / rows).backward()
            found.append(logits.detach())
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return torch.cat(found)

    def gradients(self, step: Step, texts: Texts) -> list[Tensor]:
        """Logits, shortest text first, and every gradient, with the weights left as they were."""
        kept = {name: value.clone() for name, value in self.model.state_dict().items()}
        state = self.optimizer.state_dict()
        logits = step(sorted(texts, key=len))
        found = [logits, *(p.grad.clone() for p in self.model.parameters() if p.grad is not None)]
        self.model.load_state_dict(kept)
        self.optimizer.load_state_dict(state)
        return found


def _pad(texts: Texts) -> tuple[Tensor, Tensor]:
    # To the longest exactly: the widths that `train` rounds to would make the other side slower.
    ids_BT = nn.utils.rnn.pad_sequence([torch.tensor(ids) for ids in texts], batch_first=True)
    return ids_BT, torch.arange(ids_BT.shape[1]) < torch.tensor([[len(ids)] for ids in texts])


def _pack(texts: Texts) -> tuple[Tensor, Pieces]:
    ids_1N, lengths = pack(texts)
    return ids_1N, Pieces(lengths, ids_1N.shape[1] - sum(lengths))


def difference(dtype: torch.dtype, texts: Texts) -> float:
    """The largest difference between the three sides, as a share of the largest number of its tensor."""
    trainer = Trainer(dtype=dtype)
    packed, *others = (trainer.gradients(step, texts) for step in (trainer.packed, trainer.padded, trainer.sub_batches))
    # A bias of keys moves no softmax: its gradient is rounding alone, and has no largest number of its own.
    least = 1e-3 * max(float(grad.abs().max()) for grad in packed[1:])
    return max(
        float((one - two).abs().max()) / max(least, float(one.abs().max()))
        for other in others
        for one, two in zip(packed, other, strict=True)
    )


def imdb() -> Texts:
    """Token ids of the first training rows, cut."""
    table = read(Path(os.environ["ATTNKIT_DATA"]) / "imdb")["train"]
    rows = [row.text for row in to_examples(table, infer_schema({"train": table}))[:TEXTS]]
    return fit("word", rows, vocabulary_size=VOCABULARY, lowercase=True, min_count=2).encode_all(rows, SPARSE)


def share(batches: list[Texts]) -> float:
    """Real tokens of padded batches, out of all their places."""
    places = sum(len(texts) * max(map(len, texts)) for texts in batches)
    return sum(len(ids) for texts in batches for ids in texts) / places


def drawn(texts: Texts, count: int, low: float = 0.0, high: float = 1.0) -> list[Texts]:
    """Random steps whose share of real tokens in a padded batch lies between `low` and `high`."""
    draw, found = random.Random(0), []
    while len(found) < count:
        step = draw.sample(texts, ROWS)
        if low <= share([step]) <= high:
            found.append(step)
    return found


def as_train_draws(texts: Texts, batches: int) -> tuple[list[Texts], list[Texts]]:
    """Some batches of like length, and the same texts drawn anew at random."""
    draw = torch.Generator().manual_seed(0)
    lengths = [len(ids) for ids in texts]
    like = bucket_batches(lengths, ROWS, draw)[:batches]
    members = [row for batch in like for row in batch]
    anew = random_batches([lengths[row] for row in members], ROWS, draw)
    return [[texts[row] for row in batch] for batch in like], [[texts[members[at]] for at in batch] for batch in anew]


def questions(texts: Texts) -> list[Question]:
    """What is asked, promises first; `texts` are cut where most is padding."""
    big, small = Trainer(), Trainer(layers=1, dropout=0.5)
    usual = [ids[:USUAL] for ids in texts]
    any_texts, sparse, short = drawn(usual, 40), drawn(texts, 10, 0.36, 0.38), drawn(usual, 10, 0.36, 0.38)
    like, anew = as_train_draws(usual, 8)
    one, sorted_four = "one padded batch", f"{ROWS // SUB_ROWS} padded sub-batches of {SUB_ROWS}"
    at, more = f"{ROWS} texts cut at {USUAL}", f"{ROWS} texts cut at {SPARSE}"
    both = [[ids for batch in like for ids in batch]]
    return [
        Question(at, sorted_four, any_texts, share(any_texts), big.packed, big.sub_batches, 1.1),
        Question(at, one, any_texts, share(any_texts), big.packed, big.padded, 1.9),
        Question(more, one, sparse, share(sparse), big.packed, big.padded, 3.0),
        Question(f"{at}, short ones", one, short, share(short), big.packed, big.padded, None),
        Question(
            f"8 steps of {at}, 1 layer, dropout 0.5",
            "the same texts in padded batches of like length",
            both,
            share(like),
            lambda _: [small.packed(batch) for batch in anew],
            lambda _: [small.padded(batch) for batch in like],
            None,
        ),
    ]


def main() -> int:
    """Compare, time, print, write; 1 where the sides differ or a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="three pairs a question, and write nothing")
    parser.add_argument("--seconds", type=float, default=45.0, help="most seconds a question, from 5 pairs on")
    given = parser.parse_args()
    if "ATTNKIT_DATA" not in os.environ:
        parser.error("ATTNKIT_DATA names no folder of data sets; set it to the one that holds imdb")
    torch.set_num_threads(1)
    keep_freed_memory()
    texts = imdb()
    first = drawn([ids[:USUAL] for ids in texts], 1)[0]
    apart = {torch.float64: difference(torch.float64, first[:8]), torch.float32: difference(torch.float32, first)}
    said = f"Apart: {apart[torch.float64]:.1e} in double precision, {apart[torch.float32]:.1e} in single."
    print(said)
    if apart[torch.float64] > DOUBLE or apart[torch.float32] > SINGLE:
        print("the sides differ; nothing is timed")
        return 1
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    print("\n".join(lines))
    kept = True
    for question in questions(texts):
        ratio, row = question.answer(3 if given.short else 31, given.seconds)
        kept = kept and (question.asked is None or ratio.median >= question.asked)
        lines.append(row)
        print(row, flush=True)
    if not given.short:
        today = datetime.date.today().isoformat()
        path = Path(__file__).parent / "results" / f"{today}-packed.md"
        path.write_text(f"# Packed batches, {today}\n\n{PROTOCOL} {said}\n\n" + "\n".join(lines) + "\n", "utf-8")
        print(f"written to {path}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
