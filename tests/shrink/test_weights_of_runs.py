"""Runs whose weights are held otherwise: made from a parent by its texts, saved, loaded, trained on."""

from pathlib import Path

import pytest
import torch

from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.train import load, train
from attnkit.train.evaluation import evaluate
from tests.shrink.test_changed_runs import TEXTS, child
from tests.train.small import SMALL, small_data
from tests.train.test_resume import weights_of

INTEGERS = {"kind": "integer_weights", "bits": 4, "group": 4}


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("parent")
    values = {**SMALL, "encoder": "transformer", "heads": 4, "layers": 1, "wide_ngrams": 0}
    return train(small_data(folder), out=folder / "parent", **values)


def said(run: Run) -> torch.Tensor:
    predictor = load(run)
    with torch.no_grad():
        found: torch.Tensor = predictor.network(*predictor.preprocessing.collate(predictor.encode(TEXTS)))
    return found


def test_a_child_with_a_smaller_vocabulary_has_a_smaller_tokenizer(parent: Run, tmp_path: Path) -> None:
    rows = load(parent).preprocessing.tokenizer.size
    changes = [
        {"kind": "prune_vocabulary", "kept": f"0-{rows // 2}", "rows": rows},
        {"kind": "low_rank", "modules": ["encoder.layers.0.attention.value"], "ranks": [2], "texts": 4},
        {"kind": "factorize_embedding", "rank": 2, "texts": 4},
        {"kind": "static_int8", "texts": 8},
        {"kind": "integer_weights"},
    ]
    run = child(parent, tmp_path / "child", wide_ngrams=0, changes=changes)
    assert load(run).preprocessing.tokenizer.size == rows // 2 + 1
    assert weights_of(run.path)["embedding.rows.rows.codes"].shape == (rows // 2 + 1, 2)
    held = weights_of(run.path)["encoder.layers.0.attention.query.largest"]
    assert float(held) != 1.0
    assert evaluate(run).measures["accuracy"].value == run.metrics["test"]["accuracy"]["value"]
    again = train(recipe=run.path / "recipe.toml", out=tmp_path / "again")
    assert all(torch.equal(value, weights_of(again.path)[name]) for name, value in weights_of(run.path).items())
    # A grandchild goes on from the smaller vocabulary.
    kept = child(run, tmp_path / "kept", wide_ngrams=0)
    torch.testing.assert_close(said(kept), said(run))
    with pytest.raises(UsageError, match=f"for a vocabulary of 7 and the tokenizer has {rows}"):
        child(
            parent, tmp_path / "other", wide_ngrams=0, changes=[{"kind": "prune_vocabulary", "kept": "0-5", "rows": 7}]
        )


def test_what_was_trained_to_be_rounded_is_stored_so_and_answers_alike(parent: Run, tmp_path: Path) -> None:
    fake = {"kind": "fake_integers", "bits": 4, "group": 4}
    trained = child(parent, tmp_path / "fake", wide_ngrams=0, changes=[fake], epochs=1)
    assert not torch.equal(weights_of(trained.path)["head.weight"], weights_of(parent.path)["head.weight"])
    stored = child(trained, tmp_path / "stored", wide_ngrams=0, changes=[fake, INTEGERS])
    torch.testing.assert_close(said(stored), said(trained), rtol=0, atol=1e-5)
    assert stored.metrics["test"]["accuracy"]["value"] == trained.metrics["test"]["accuracy"]["value"]
    size = [(run.path / "model" / "weights.safetensors").stat().st_size for run in (trained, stored)]
    assert size[1] < size[0]


def test_what_is_not_stored_as_integers_goes_on_learning(parent: Run, tmp_path: Path) -> None:
    run = child(parent, tmp_path / "child", wide_ngrams=0, changes=[INTEGERS], epochs=1)
    old = child(parent, tmp_path / "old", wide_ngrams=0, changes=[INTEGERS])
    one, two = weights_of(run.path), weights_of(old.path)
    assert torch.equal(one["head.codes"], two["head.codes"]) and not torch.equal(one["head.bias"], two["head.bias"])
