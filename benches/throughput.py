"""How much faster does the default loop train a transformer than Hugging Face's Trainer does?

    ATTNKIT_DATA=FOLDER python -m benches.throughput [--short] [--rounds 3] [--layers 2] [--width 128]

IMDb cut at 512 tokens, 32 texts a step, the very same network and optimizer. Ours is the loop of `attn train` with
what it chooses for these texts: texts of like length, their tokens end to end. Theirs is Trainer (transformers with
accelerate) with its collator, which pads to the longest text of a batch: batches drawn at random, as it does by
default, and batches of like length (train_sampling_strategy="group_by_length"). The three take turns after every step,
in one process; evaluation and checkpoints are left out on all sides. Losses and gradients of one batch are compared
first; where they differ, nothing is timed. Prints the table and, unless --short, writes
benches/results/DATE-throughput.md.
"""

import argparse
import datetime
import math
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from attnkit.data.examples import Example, to_examples
from attnkit.data.readers import read
from attnkit.data.schema import infer_schema
from attnkit.kernels.measure.pairs import Ratio
from attnkit.model.build import build_model
from attnkit.run.allocator import keep_freed_memory
from attnkit.run.recipe import Recipe, recipe_from_plain
from attnkit.task.single_label import SingleLabel
from attnkit.train.events import Event, Say
from attnkit.train.interrupt import CtrlC
from attnkit.train.loop import Loop
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.settle import settle
from attnkit.train.update import Rows

# As many steps as one of Trainer's pools of like length holds: every side then sees the lengths that there are.
STEPS, ROWS, LONGEST, TEXTS = 50, 32, 512, 6400
OURS, PADDED, GROUPED = "ours", "Trainer, random batches", "Trainer, like lengths"
ASKED = {PADDED: 1.8, GROUPED: 1.1}
APART = 1e-4


class Turns:
    """Sides that take turns after every step, each in a thread of its own, with the processor seconds of each step."""

    def __init__(self, names: list[str]) -> None:
        self.waiting = list(names)
        self.seconds: dict[str, list[float]] = {name: [] for name in names}
        self.tokens: dict[str, list[int]] = {name: [] for name in names}
        self.turn = threading.Condition()
        self.ready = threading.Barrier(len(names))
        self.began = 0.0

    def begin(self, name: str) -> None:
        """Wait until every side is prepared, and then for the first turn."""
        self.ready.wait()
        with self.turn:
            self.turn.wait_for(lambda: self.waiting[0] == name)
        self.began = time.process_time()

    def step(self, name: str, tokens: int) -> None:
        """End a step of `tokens` real tokens, and wait for the next turn."""
        self.seconds[name].append(time.process_time() - self.began)
        self.tokens[name].append(tokens)
        with self.turn:
            self.waiting.append(self.waiting.pop(0))
            self.turn.notify_all()
            self.turn.wait_for(lambda: self.waiting[0] == name)
        self.began = time.process_time()

    def end(self, name: str) -> None:
        """Leave the round."""
        with self.turn:
            self.waiting.remove(name)
            self.turn.notify_all()

    def rate(self, name: str) -> float:
        """Real tokens a processor second."""
        return sum(self.tokens[name]) / sum(self.seconds[name])


class _Enough(Exception):
    pass


@dataclass
class Bench:
    """What is trained: encoded texts, and the settled recipe from which fresh networks are made."""

    recipe: Recipe
    prepare: Preprocessing
    task: SingleLabel
    rows: Rows

    def network(self) -> nn.Module:
        """The network, the same weights each time."""
        torch.manual_seed(0)
        return build_model(self.recipe.model, self.prepare.tokenizer.size, self.task.outputs)


def prepared(layers: int, width: int, dropout: float | None) -> Bench:
    """The first training rows of IMDb, and what `attn train --encoder transformer` settles on for them."""
    tables = {"train": read(Path(os.environ["ATTNKIT_DATA"]) / "imdb")["train"]}
    schema = infer_schema(tables)
    examples: list[Example] = to_examples(tables["train"], schema)
    # The file holds one label after the other.
    order = torch.randperm(len(examples), generator=torch.Generator().manual_seed(0)).tolist()
    examples = [examples[number] for number in order[:TEXTS]]
    model: dict[str, Any] = {"encoder": "transformer", "layers": layers, "width": width, "embedding_width": width}
    if dropout is not None:
        model |= {"dropout": dropout, "embedding_dropout": dropout, "word_dropout": dropout}
    plain = {
        "model": {**model, "hierarchical": False},
        "tokens": {"max_tokens": LONGEST},
        "train": {"batch_rows": ROWS},
    }
    choices, tokenizer = settle(recipe_from_plain(plain, "the bench"), examples)
    recipe, prepare = choices.recipe, Preprocessing(tokenizer, LONGEST)
    task = SingleLabel(schema.classes)
    items = prepare.encode([example.text for example in examples])
    return Bench(recipe, prepare, task, Rows(items, task.targets(examples), [example.place for example in examples]))


class Wrapped(nn.Module):
    """The network as Trainer calls one."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: Tensor, attention_mask: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.network(input_ids, attention_mask.bool())
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def collator() -> Callable[[list[dict[str, Any]]], Any]:
    """Their own, which pads to the longest text of the batch."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast

    words = Tokenizer(WordLevel({"[PAD]": 0, "[UNK]": 1}, unk_token="[UNK]"))
    padding: Callable[..., Any] = DataCollatorWithPadding(
        PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", unk_token="[UNK]")
    )
    return padding


class Dataset(torch.utils.data.Dataset[dict[str, Any]]):
    """The same ids and labels, as Trainer reads them."""

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, number: int) -> dict[str, Any]:
        ids = self.rows.items[number]
        return {"input_ids": ids, "attention_mask": [1] * len(ids), "labels": int(self.rows.targets[number])}


def train_ours(bench: Bench, turns: Turns, seed: int, folder: Path) -> None:
    """The loop of `attn train`, stopped after the steps."""
    recipe = bench.recipe.with_values({"train.seed": seed, "train.epochs": 2})
    held: list[int] = []

    def listen(event: Event) -> None:
        if event.kind != "step":
            return
        # The first step stands behind the first checkpoint, which is no part of a step.
        if event.values["step"] == 1:
            held.extend(sum(len(bench.rows.items[n]) for n in batch) for batch in loop.batches(0))
            turns.begin(OURS)
            return
        turns.step(OURS, held[event.values["step"] - 1])
        if event.values["step"] > STEPS:
            raise _Enough

    some = Rows(bench.rows.items[:ROWS], bench.rows.targets[:ROWS], bench.rows.places[:ROWS])
    loop = Loop(
        bench.network(), bench.task, bench.prepare, bench.rows, some, recipe, folder / "checkpoint", Say(listen)
    )
    try:
        loop.run(CtrlC())
    except _Enough:
        turns.end(OURS)


def train_theirs(bench: Bench, turns: Turns, seed: int, folder: Path, name: str) -> None:
    """Trainer, for as many steps."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    recipe = bench.recipe
    tokens: list[int] = []
    collate = collator()

    def counted(features: list[dict[str, Any]]) -> Any:
        tokens.append(sum(len(one["input_ids"]) for one in features))
        return collate(features)

    class Turn(TrainerCallback):
        def on_train_begin(self, *args: Any, **how: Any) -> None:
            turns.begin(name)

        def on_step_end(self, *args: Any, **how: Any) -> None:
            turns.step(name, tokens[len(turns.tokens[name])])

    settings = TrainingArguments(
        output_dir=str(folder), per_device_train_batch_size=ROWS, max_steps=STEPS, seed=seed, use_cpu=True,
        optim="adamw_torch_fused", learning_rate=float(recipe.train.learning_rate), lr_scheduler_type="cosine",
        weight_decay=recipe.train.weight_decay, max_grad_norm=recipe.train.clip_norm, logging_strategy="no",
        save_strategy="no", report_to=[], disable_tqdm=True, remove_unused_columns=False,
        train_sampling_strategy="group_by_length" if name == GROUPED else "random",
    )  # fmt: skip
    trainer = Trainer(
        Wrapped(bench.network()), settings, train_dataset=Dataset(bench.rows), data_collator=counted,
        callbacks=[Turn()],
    )  # fmt: skip
    trainer.train()
    turns.end(name)


def one_round(bench: Bench, seed: int) -> Turns:
    """Every side from the same weights on, step by step in turn."""
    turns = Turns([OURS, PADDED, GROUPED])
    failures: list[BaseException] = []

    def guarded(name: str, work: Callable[[], None]) -> None:
        torch.set_num_threads(1)
        try:
            work()
        except BaseException as error:
            # A thread must not leave the others waiting for its turn.
            turns.ready.abort()
            failures.append(error)
            turns.end(name)

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        works: dict[str, Callable[[], None]] = {OURS: lambda: train_ours(bench, turns, seed, place)}
        works |= {
            name: (lambda name=name: train_theirs(bench, turns, seed, place, name))  # type: ignore[misc]
            for name in (PADDED, GROUPED)
        }
        threads = [threading.Thread(target=guarded, args=(name, work)) for name, work in works.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    if failures:
        raise failures[0]
    return turns


def difference(bench: Bench) -> tuple[float, float]:
    """The loss of one batch, ours and theirs, without dropout: how far apart, and how far the gradients, as a share."""
    numbers = list(range(ROWS))
    found = []
    for theirs in (False, True):
        network = bench.network().eval()
        if theirs:
            batch = dict(collator()([Dataset(bench.rows)[number] for number in numbers]))
            loss = Wrapped(network)(**batch)["loss"]
        else:
            ordered = sorted(numbers, key=lambda number: len(bench.rows.items[number]))
            inputs = bench.prepare.pack([bench.rows.items[number] for number in ordered])
            loss = bench.task.loss(network(*inputs), bench.rows.targets[ordered])
        loss.backward()
        found.append((float(loss.detach()), [p.grad.clone() for p in network.parameters() if p.grad is not None]))
    (ours, own), (their, other) = found
    least = 1e-3 * max(float(grad.abs().max()) for grad in own)
    gradients = max(
        float((a - b).abs().max()) / max(least, float(a.abs().max())) for a, b in zip(own, other, strict=True)
    )
    return abs(ours - their), gradients


def ratio(rounds: list[Turns], name: str) -> Ratio:
    """Our real tokens a processor second over theirs, all rounds together, with half its 95 % interval over steps.

    The steps of each side are resampled. Batches of like length differ more than the rounds they make up do: for them
    the interval is wider than need be.
    """
    draw = np.random.default_rng(0)
    drawn = []
    for side in (OURS, name):
        seconds, tokens = (
            np.concatenate([getattr(one, what)[side] for one in rounds]) for what in ("seconds", "tokens")
        )
        picked = draw.integers(0, len(seconds), size=(2000, len(seconds)))
        drawn.append(np.append(tokens.sum() / seconds.sum(), tokens[picked].sum(1) / seconds[picked].sum(1)))
    value, *others = drawn[0] / drawn[1]
    low, high = np.percentile(others, [2.5, 97.5])
    return Ratio(float(value), float(high - low) / 2, len(rounds) * STEPS, math.nan, math.nan)


def main() -> int:
    """Compare, time, print, write; 1 where the sides differ or a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="one round, and write nothing")
    parser.add_argument("--rounds", type=int, default=3, help=f"rounds of {STEPS} steps a side")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--dropout", type=float, help="all dropouts; those of the recipe where left out")
    given = parser.parse_args()
    if "ATTNKIT_DATA" not in os.environ:
        parser.error("ATTNKIT_DATA names no folder of data sets; set it to the one that holds imdb")
    torch.set_num_threads(1)
    keep_freed_memory()
    bench = prepared(given.layers, given.width, given.dropout)
    loss, gradients = difference(bench)
    print(f"apart: {loss:.1e} in the loss of one batch, {gradients:.1e} of the largest in any gradient", flush=True)
    if loss > APART or gradients > APART:
        print("the sides differ; nothing is timed")
        return 1
    rounds = []
    for seed in range(1 if given.short else given.rounds):
        rounds.append(one_round(bench, seed))
        rates = ", ".join(f"{name} {rounds[-1].rate(name):,.0f}" for name in rounds[-1].seconds)
        print(f"round {seed + 1}: real tokens a core-second: {rates}", flush=True)
    lines, kept = table(rounds)
    print("\n".join(lines))
    if not given.short:
        write(bench, lines, loss, gradients, given)
    return 0 if kept else 1


def table(rounds: list[Turns]) -> tuple[list[str], bool]:
    """The lines of the table, and whether every promise was kept."""
    lines = ["| | real tokens a core-second | ours is | asked | steps |", "|---|---|---|---|---|"]
    ours = statistics.median(one.rate(OURS) for one in rounds)
    lines.append(f"| {OURS} | {ours:,.0f} | 1 | | {len(rounds) * STEPS} |")
    kept = True
    for name, asked in ASKED.items():
        theirs = statistics.median(one.rate(name) for one in rounds)
        found = ratio(rounds, name)
        kept = kept and found.median >= asked
        lines.append(f"| {name} | {theirs:,.0f} | {found} | {asked} | {found.pairs} |")
    return lines, kept


def write(bench: Bench, lines: list[str], loss: float, gradients: float, given: argparse.Namespace) -> None:
    """The dated result."""
    import accelerate
    import transformers

    model = bench.recipe.model
    told = (
        f"torch {torch.__version__}, transformers {transformers.__version__}, accelerate {accelerate.__version__}, one "
        f"thread, float32. IMDb, {TEXTS:,} training rows cut at {LONGEST} tokens, {ROWS} texts a step, {STEPS} steps a "
        f"side and round. Transformer of {model.layers} layers, width {model.width}, {model.heads} heads, "
        f"{model.attention}, pooling {model.pooling} beside {', '.join(model.beside) or 'nothing'}; dropout "
        f"{model.dropout}, of embeddings {model.embedding_dropout}, of words {model.word_dropout}; AdamW (fused), "
        "gradient clipped, cosine schedule. Ours: the loop of `attn train` with batches = "
        f'"{bench.recipe.train.batches}", its log and its checks for numbers that are not finite included. Theirs: '
        "Trainer around the very same network and ids, DataCollatorWithPadding (to the longest of the batch). All "
        "sides take turns after each step in one process, which keeps freed memory as `attn train` does; evaluation "
        "and checkpoints are left out. Rates are real tokens over process CPU seconds, sums over a round, since each "
        "side draws its own batches; ± is half the 95 % interval over resampled steps. "
        f"One batch without dropout: losses {loss:.1e} apart, gradients {gradients:.1e} of the largest of their tensor."
    )
    today = datetime.date.today().isoformat()
    path = Path(__file__).parent / "results" / f"{today}-throughput.md"
    path.write_text(f"# Throughput beside Trainer, {today}\n\n{told}\n\n" + "\n".join(lines) + "\n", "utf-8")
    print(f"written to {path}")


if __name__ == "__main__":
    sys.exit(main())
