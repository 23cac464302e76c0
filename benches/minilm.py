"""Does fine-tuning a checkpoint with attn's own loop beat its frozen features, and for how many core-minutes?

    ATTNKIT_DATA=FOLDER python -m benches.minilm --from CHECKPOINT [--sets trec sst2] [--out FOLDER] [--short]

For each set: `attnkit.train(SET, start_from=CHECKPOINT)` with nothing else said, and beside it the mean of the
positions that the untouched checkpoint gives, under scikit-learn's logistic regression. Both see the same training
rows, choose on the same validation rows, and read the test rows once, at the end. Prints the table and, unless --short,
writes benches/results/DATE-minilm.md. A run that was stopped goes on.
"""

import argparse
import datetime
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from attnkit.data.examples import Example, to_examples
from attnkit.data.readers import read
from attnkit.data.schema import Schema
from attnkit.data.split import Splits, split_ids
from attnkit.model.build import build_model
from attnkit.model.classifier import TextClassifier
from attnkit.run.directory import Run
from attnkit.run.recipe import Recipe
from attnkit.task.metrics import Measure
from attnkit.task.single_label import SingleLabel
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.start import Start, open_start
from attnkit.train.start.choose import fast_bfloat16
from attnkit.train.start.fill import fill
from attnkit.train.training import train

PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class Line:
    """One way on one set: its figures on validation and test, and what it cost."""

    data: str
    way: str
    validation: float
    test: Measure
    core_minutes: float

    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        shown = f"{100 * self.test.value:.2f} [{100 * self.test.low:.2f}, {100 * self.test.high:.2f}]"
        return self.data, self.way, f"{100 * self.validation:.2f}", shown, f"{self.core_minutes:.1f}"


def splits_of(run: Run) -> dict[str, list[Example]]:
    """The rows of each split of a run, read again."""
    record = run.data
    schema = Schema.from_dict(record["schema"])
    rows = [row for table in read(record["path"]).values() for row in to_examples(table, schema)]
    places = dict(zip(split_ids(Splits([], [], rows))["test"], rows, strict=True))
    return {name: [places[key] for key in keys] for name, keys in record["splits"].items()}


def features(start: Start, texts: list[str], most_tokens: int) -> NDArray[np.float32]:
    """The mean over positions of what the untouched encoder gives, (n, M)."""
    settings = start.settings.model_copy(
        update={"beside": (), "dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0, "pooling": "vaswani"}
    )
    model = build_model(settings, start.tokenizer.size, 2).eval()
    assert isinstance(model, TextClassifier) and model.places is not None and model.encoder is not None
    fill(model, settings, SingleLabel(("a", "b")), start)
    prepare = Preprocessing(start.tokenizer, most_tokens)
    items = prepare.encode(texts)
    order = sorted(range(len(items)), key=lambda number: len(items[number]))
    found = torch.zeros(len(items), int(settings.width))
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16()):
        for first in range(0, len(order), ROWS_AT_ONCE):
            numbers = order[first : first + ROWS_AT_ONCE]
            ids, keep = prepare.collate([items[number] for number in numbers])
            x: Tensor = model.encoder(model.embedding(ids) + model.places(ids, keep), keep).float()
            found[numbers] = x.sum(1) / keep.sum(1, keepdim=True)
    return np.asarray(found)


def frozen(run: Run, start: Start) -> Line:
    """Logistic regression on frozen features, its penalty chosen on the validation rows of `run`."""
    begun = time.process_time()
    rows = splits_of(run)
    task = SingleLabel(tuple(run.data["schema"]["classes"]))
    most = int(run.recipe.tokens.max_tokens)
    x = {name: features(start, [row.text for row in held], most) for name, held in rows.items()}
    y = {name: task.targets(held).numpy() for name, held in rows.items()}
    centre, spread = x["train"].mean(0), x["train"].std(0) + 1e-6
    x = {name: (held - centre) / spread for name, held in x.items()}
    best, chosen = -1.0, None
    for penalty in PENALTIES:
        model = LogisticRegression(C=penalty / len(y["train"]) * 100, max_iter=300).fit(x["train"], y["train"])
        right = float((model.predict(x["validation"]) == y["validation"]).mean())
        if right > best:
            best, chosen = right, model
    assert chosen is not None
    logits = torch.from_numpy(np.log(chosen.predict_proba(x["test"]) + 1e-12))
    test = task.measure(logits, torch.from_numpy(y["test"]))["accuracy"]
    name = run.name.removeprefix("minilm-")
    return Line(name, "frozen features", best, test, (time.process_time() - begun) / 60)


def tuned(data: Path, checkpoint: Path, out: Path) -> tuple[Run, Line]:
    """The run of fine-tuning, trained where it does not stand there already."""
    place = out / f"minilm-{data.name}"
    run = train(data, out=place, resume=place.exists() or Path(f"{place}.partial").exists(), start_from=str(checkpoint))
    metrics, cost = run.metrics, run.machine["last_process"]["processor_seconds"]
    line = Line(
        data.name,
        "fine-tuned",
        metrics["validation"]["accuracy"]["value"],
        Measure.from_dict(metrics["test"]["accuracy"]),
        cost / 60,
    )
    return run, line


def settings(recipe: Recipe) -> str:
    """What was settled, in one line."""
    train, model, start = recipe.train, recipe.model, recipe.start
    decay = recipe.optimizer.layer_decay
    return (
        f"{train.epochs} epochs of {train.batch_rows} texts, {train.precision}, rate {train.learning_rate:g} "
        f"({train.schedule}, {train.warmup_steps} steps of warm-up), layer decay {decay:g}, frozen: "
        f"{', '.join(start.freeze) or 'nothing'}, pooling {model.pooling}, dropout {model.dropout:g}"
    )


def main() -> None:
    """Measure, print, and write the dated file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--from", dest="checkpoint", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=["trec", "sst2"])
    parser.add_argument("--out", type=Path, default=Path("runs"))
    parser.add_argument("--short", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    start = open_start(asked.checkpoint)
    lines, notes = [], []
    for name in asked.sets:
        run, line = tuned(Path(os.environ["ATTNKIT_DATA"]) / name, asked.checkpoint, asked.out)
        lines += [line, frozen(run, start)]
        sizes = ", ".join(f"{part} {count:,}" for part, count in run.metrics["sizes"].items())
        notes.append(f"{name}: {sizes} rows; {settings(run.recipe)}.")
        for one in lines[-2:]:
            print("  ".join(one.cells()), flush=True)
    heads = ("set", "way", "validation accuracy %", "test accuracy % [95 %]", "core-minutes")
    table = ["| " + " | ".join(row) + " |" for row in (heads, ("---",) * len(heads), *(one.cells() for one in lines))]
    text = "\n".join(
        [
            f"# {start.said}: fine-tuned, and frozen", "", *table, "", *notes, "",
            f"torch {torch.__version__}, Python {platform.python_version()}, one thread, process CPU time; "
            "`python -m benches.minilm`. Weights and penalty chosen on validation rows, test rows read once; one seed.",
        ]
    )  # fmt: skip
    print(text)
    if not asked.short:
        place = Path(__file__).parent / "results" / f"{datetime.date.today().isoformat()}-minilm.md"
        place.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
