"""Another run as a start: what fits is taken, what means something else is not."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.record import read_record
from attnkit.train import train
from tests.train.small import SMALL, sentences, small_data, write_csv
from tests.train.test_resume import Crash, stop_at, weights_of

# So slow that what was taken over can be told from what was not.
STILL = {**SMALL, "epochs": 1, "learning_rate": 1e-9, "weight_decay": 0.0}
PARENT = {**SMALL, "encoder": "transformer", "heads": 2, "layers": 2, "pooling": "vaswani", "beside": ["max"]}


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("parent")
    return train(small_data(folder), out=folder / "parent", **PARENT)


def begun(parent: Run, folder: Path, data: Path | None = None, **more: Any) -> tuple[Run, set[str], list[str]]:
    """The run that starts from the parent, which of its weights are the parent's, and what it said."""
    said: list[str] = []
    given = {name: value for name, value in STILL.items() if name not in ("embedding_width", "width")}
    run = train(
        small_data(folder) if data is None else data,
        out=folder / "child",
        progress=lambda event: said.append(str(event.values.get("sentence"))),
        **{**given, "start_from": str(parent.path), **more},
    )
    old, new = weights_of(parent.path), weights_of(run.path)
    alike = {name for name in new if name in old and new[name].shape == old[name].shape}
    return run, {name for name in alike if torch.allclose(new[name], old[name], atol=1e-6)}, said


def test_everything_is_taken_where_everything_fits(parent: Run, tmp_path: Path) -> None:
    run, taken, said = begun(parent, tmp_path)
    assert taken == set(weights_of(run.path)) and any("nothing is new" in sentence for sentence in said)
    assert run.recipe.model.heads == 2 and run.recipe.model.pooling == "vaswani" and run.recipe.model.layers == 2
    assert (run.path / "model" / "tokenizer.json").read_bytes() == (
        parent.path / "model" / "tokenizer.json"
    ).read_bytes()
    record = read_record(run.path / "parent")
    assert record["path"] == str(parent.path.absolute()) and record["said"] == "the run parent"


def test_other_classes_get_a_head_of_their_own(parent: Run, tmp_path: Path) -> None:
    rows = [(text, {"pos": "yes", "neg": "no"}[label]) for text, label in sentences(80)]
    run, taken, said = begun(parent, tmp_path, write_csv(tmp_path / "other.csv", rows))
    assert set(weights_of(run.path)) - taken == {"head.weight", "head.bias"}
    assert any("new are head" in sentence for sentence in said)


@pytest.mark.parametrize(
    ("more", "fresh"),
    [
        ({"heads": 4}, ("encoder.",)),
        ({"pooling": "luong-dot"}, ("summary.", "head.")),
        ({"beside": ["mean"]}, ("head.",)),
        ({"width": 16}, ("encoder.", "summary.", "head.")),
    ],
)
def test_what_means_something_else_begins_anew(
    parent: Run, tmp_path: Path, more: dict[str, Any], fresh: tuple[str, ...]
) -> None:
    run, taken, _ = begun(parent, tmp_path, **more)
    new = set(weights_of(run.path)) - taken
    assert new and all(name.startswith(fresh) for name in new), new
    assert all(any(name.startswith(begins) for name in new) for begins in fresh)


def test_what_cannot_start_anything_is_refused_and_leaves_nothing(parent: Run, tmp_path: Path) -> None:
    data = small_data(tmp_path)
    with pytest.raises(Crash):
        train(data, out=tmp_path / "half", progress=stop_at(3), **SMALL)
    before = sorted(tmp_path.iterdir())
    for more, sentence in (
        ({"start_from": str(tmp_path / "half.partial")}, "is not finished"),
        ({"start_from": str(data)}, "neither a run nor a checkpoint"),
        ({"tokenizer": "given"}, "needs a run or checkpoint"),
        ({"start_from": str(parent.path), "lowercase": False}, "tokens.lowercase = False cannot go with"),
        ({"start_from": str(parent.path), "word_vectors": "v.txt"}, "both fill the embeddings"),
    ):
        with pytest.raises(UsageError, match=sentence):
            train(data, out=tmp_path / "run", **{**SMALL, **more})
        assert sorted(tmp_path.iterdir()) == before


def test_a_run_that_was_begun_goes_on_without_its_parent(parent: Run, tmp_path: Path) -> None:
    data = small_data(tmp_path)
    moved = tmp_path / "moved"
    shutil.copytree(parent.path, moved)
    how = {name: value for name, value in SMALL.items() if name not in ("embedding_width", "width")}
    whole = train(data, out=tmp_path / "whole", **how, start_from=str(moved), checkpoint_every_steps=2)
    with pytest.raises(Crash):
        train(data, out=tmp_path / "parts", progress=stop_at(5), **how, start_from=str(moved), checkpoint_every_steps=2)
    shutil.rmtree(moved)
    parts = train(data, out=tmp_path / "parts", resume=True)
    one, two = weights_of(whole.path), weights_of(parts.path)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_weights_as_they_begin_may_be_the_best(parent: Run, tmp_path: Path) -> None:
    spoiled, *_ = begun(parent, tmp_path, learning_rate=5.0, warmup_steps=0)
    assert not torch.allclose(weights_of(spoiled.path)["head.weight"], weights_of(parent.path)["head.weight"])
    shutil.rmtree(tmp_path / "child")
    kept, taken, _ = begun(parent, tmp_path, learning_rate=5.0, warmup_steps=0, evaluate_start=True)
    assert taken == set(weights_of(kept.path))
    first = kept.metrics["history"][0]
    assert first["step"] == 0 and first["best"] and not any(line["best"] for line in kept.metrics["history"][1:])
