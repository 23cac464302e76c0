"""How well does recipes/imdb.toml read reviews of films it never saw, beside NB-SVM, and what earns it?

    ATTNKIT_DATA=FOLDER python -m benches.imdb --runs RUNS [--seeds 0 1 2]
    ATTNKIT_DATA=FOLDER python -m benches.imdb --runs RUNS --ablate [--seeds 0 1] [--arms NAME ...]

The first trains the recipe once a seed (a run that stands finished in RUNS is taken as it is) and NB-SVM on the same
training and validation rows, and compares them row by row on the test split. The second leaves the test split unread:
it takes one ingredient out at a time, and measures on the last 12 % of the training rows by id: reviews of other films.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

import attnkit
from attnkit.data.examples import Example
from attnkit.model import naive_bayes
from attnkit.model import wide as wide_branch
from attnkit.model.baselines.nb_svm import NbSvm
from attnkit.model.ngram_rows import shares
from attnkit.run.directory import Run
from attnkit.run.recipe import load_recipe
from attnkit.train.assemble import labeled_only, split_source
from attnkit.train.events import Say
from attnkit.train.loop import predict_logits
from attnkit.train.prepare import read_source

RECIPE = Path(__file__).parents[1] / "recipes" / "imdb.toml"
DRAWS = 20_000
Right = NDArray[np.float64]


def _twice(rows_BT: Tensor, real: Any, dropout: float = 0.0) -> Tensor:
    """Like `shares`, with every standing of an n-gram counted in full."""
    return (shares(rows_BT, real, dropout) > 0).float()


def _without_bayes(fit: Callable[..., None]) -> Callable[..., None]:
    """A fit whose values start at zero and are learned alone."""

    def fitted(wide: Any, *given: Any, **how: Any) -> None:
        fit(wide, *given, **how)
        with torch.no_grad():
            wide.features.ratio[:] = torch.tensor([-0.5, 0.5])
            wide.features.factor.weight.fill_(-1 / wide_branch._FACTOR_SPEED)

    return fitted


# What is taken out: settings of the recipe, and parts of the program that are put in place of others.
ARMS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "the recipe": ({}, {}),
    "no wide branch": ({"wide_ngrams": 0}, {}),
    "every n-gram weighs the same": ({}, {"attnkit.model.wide._SCORE_SPEED": 0.0}),
    "an n-gram counts as often as it stands there": ({}, {"attnkit.model.wide.shares": _twice}),
    "smoothing of 2 instead of 40": ({"wide_smoothing": 2.0}, {}),
    "values learned from zero": ({}, {"attnkit.train.wide.fit": _without_bayes(naive_bayes.fit)}),
    "words and pairs alone": ({"wide_ngrams": 2}, {}),
    "no dropout of n-grams": ({"wide_dropout": 0.0}, {}),
}


@contextmanager
def _put(parts: dict[str, Any]) -> Iterator[None]:
    patches = [mock.patch(name, value) for name, value in parts.items()]
    for one in patches:
        one.start()
    try:
        yield
    finally:
        for one in patches:
            one.stop()


def ablate(data: Path, runs: Path, seeds: Sequence[int], arms: Sequence[str]) -> list[str]:
    """A line of a table for each arm: validation accuracy of each seed, and their mean less that of the recipe."""
    lines = ["| taken out | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean less the recipe's |"]
    lines.append("|---|" + "---|" * (len(seeds) + 1))
    whole = None
    for arm in ("the recipe", *(name for name in arms if name != "the recipe")):
        settings, parts = ARMS[arm]
        found = []
        for seed in seeds:
            out = runs / f"{arm.replace(' ', '-')}-{seed}"
            if not out.exists():
                with _put(parts):
                    attnkit.train(data, recipe=RECIPE, out=out, seed=seed, validation=0.12, read_test=False, **settings)
            found.append(100 * Run.open(out).metrics["validation"]["accuracy"]["value"])
        mean = sum(found) / len(found)
        whole = mean if whole is None else whole
        lines.append(f"| {arm} | " + " | ".join(f"{one:.2f}" for one in found) + f" | {mean - whole:+.2f} |")
        print(lines[-1], flush=True)
    return lines


def compare(data: Path, runs: Path, seeds: Sequence[int]) -> list[str]:
    """A line of a table for NB-SVM, for each seed, and for the mean over seeds."""
    for seed in seeds:
        if not (runs / f"seed-{seed}").exists():
            attnkit.train(data, recipe=RECIPE, out=runs / f"seed-{seed}", seed=seed)
    recipe = load_recipe(runs / f"seed-{seeds[0]}" / "recipe.toml").with_values({"data.path": str(data)})
    source = read_source(recipe, Say())
    splits = labeled_only(split_source(source, recipe), Say())
    task = source.task.fitted(splits.train)
    known, wanted = [*splits.train, *splits.validation], task.targets(splits.test)
    machine = NbSvm().fit([row.text for row in known], task.targets(known).numpy(), task.outputs)
    other = _right(torch.from_numpy(machine.logits([row.text for row in splits.test])), wanted)
    lines = ["| | test accuracy | less NB-SVM | rows won / lost |", "|---|---|---|---|"]
    lines.append(f"| NB-SVM | {100 * other.mean():.2f} | | |")
    each = [_right(_logits(runs / f"seed-{seed}", splits.test), wanted) for seed in seeds]
    for seed, right in zip(seeds, each, strict=True):
        won, lost = int((right > other).sum()), int((right < other).sum())
        lines.append(f"| seed {seed} | {100 * right.mean():.2f} | {interval(right - other)} | {won} / {lost} |")
    mean = np.mean(each, 0)
    lines.append(f"| mean of seeds | {100 * mean.mean():.2f} | {interval(mean - other)} | |")
    return lines


def _logits(run: Path, rows: Sequence[Example]) -> Tensor:
    predictor = attnkit.load(run)
    return predict_logits(predictor.network, predictor.preprocessing, predictor.encode([row.text for row in rows]))


def _right(logits: Tensor, wanted: Tensor) -> Right:
    return (logits.argmax(-1) == wanted).double().numpy()


def interval(difference: Right) -> str:
    """The mean in points with its 95 % interval, rows drawn anew (a bootstrap of the counts of each difference)."""
    values, counts = np.unique(difference, return_counts=True)
    drawn = np.random.default_rng(0).multinomial(len(difference), counts / len(difference), size=DRAWS)
    low, high = np.quantile(drawn @ values / len(difference), [0.025, 0.975])
    return f"{100 * difference.mean():+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def main() -> None:
    """Train what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--ablate", action="store_true")
    parser.add_argument("--arms", nargs="+", choices=list(ARMS), default=list(ARMS))
    asked = parser.parse_args()
    if "ATTNKIT_DATA" not in os.environ:
        sys.exit("set ATTNKIT_DATA to the folder that holds imdb/")
    data = Path(os.environ["ATTNKIT_DATA"]) / "imdb"
    torch.set_num_threads(1)
    asked.runs.mkdir(parents=True, exist_ok=True)
    if asked.ablate:
        lines = ablate(data, asked.runs, asked.seeds, asked.arms)
    else:
        lines = compare(data, asked.runs, asked.seeds)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
