"""Baselines on real sets reach the accuracy that the literature and our log record for them."""

import gzip
import json
from pathlib import Path

import pytest

from attnkit.data.examples import Example
from attnkit.model.baselines import run_baselines
from attnkit.task import SingleLabel


def examples(file: Path) -> list[Example]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Example(row["text"], None, str(row["label"]), file.name, n) for n, row in enumerate(rows, 1)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "logistic", "nb_svm"),
    [
        ("sentence_polarity", 0.765, 0.79),
        ("trec", 0.885, 0.90),
        ("banking77", 0.89, 0.87),
        ("zh_shopping10", 0.93, 0.925),
        ("imdb", 0.905, 0.91),
    ],
)
def test_real_sets(data_folder: Path, name: str, logistic: float, nb_svm: float) -> None:
    test = examples(data_folder / name / "test.jsonl.gz")
    held_out = {example.content for example in test}
    train = [one for one in examples(data_folder / name / "train.jsonl.gz") if one.content not in held_out]
    task = SingleLabel(tuple(sorted({example.label for example in train + test})))  # type: ignore[type-var, arg-type]
    figures = {result.name: result.measures["accuracy"].value for result in run_baselines(train, test, task)}
    assert figures["tfidf_logistic"] >= logistic
    assert figures["nb_svm"] >= nb_svm
