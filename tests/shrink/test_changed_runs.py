"""Runs of changed networks: begun from a parent, saved, loaded, resumed, changed again."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.capture.record import capture
from attnkit.errors import UsageError
from attnkit.model.changes import apply_changes, changes_from_plain
from attnkit.run.directory import Run
from attnkit.run.record import read_record
from attnkit.train import load, train
from attnkit.train.evaluation import evaluate
from tests.train.small import SMALL, small_data
from tests.train.test_resume import Crash, stop_at, weights_of

PARENT = {**SMALL, "encoder": "transformer", "heads": 4, "layers": 2, "wide_ngrams": 1}
CHANGES = [
    {"kind": "remove_heads", "layer": 0, "heads": [0, 2]},
    {"kind": "remove_units", "layer": 1, "units": [0, 1, 2, 3]},
]
HOW = {name: value for name, value in SMALL.items() if name not in ("embedding_width", "width")}
TEXTS = ["a good film", "so very awful", "", "plot " * 40]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("parent")
    return train(small_data(folder), out=folder / "parent", **PARENT)


def child(parent: Run, out: Path, **more: Any) -> Run:
    values = {**HOW, "epochs": 0, "start_from": str(parent.path), "wide_ngrams": 1, **more}
    return train(parent.data["path"], out=out, **values)


def test_a_child_of_no_epochs_is_its_parent_changed(parent: Run, tmp_path: Path) -> None:
    run = child(parent, tmp_path / "child", changes=CHANGES)
    network = load(parent).network
    apply_changes(network, changes_from_plain(CHANGES))
    found = load(run)
    wanted = {name: value.clone() for name, value in network.state_dict().items()}
    assert wanted.keys() == found.network.state_dict().keys()
    assert all(torch.equal(value, wanted[name]) for name, value in found.network.state_dict().items())
    assert read_record(run.path / "parent")["path"] == str(parent.path.absolute())
    assert "no weight was trained" in run.metrics["protocol"] and run.metrics["history"][0]["step"] == 0
    assert len(found.predict(TEXTS)) == len(TEXTS) and found.attention(TEXTS[0]).weights
    assert evaluate(run).measures["accuracy"].value == run.metrics["test"]["accuracy"]["value"]
    with capture(found.network) as seen:
        found.predict(TEXTS[:1])
    assert {one.name: one.heads for one in seen.layers if "encoder" in one.name} == {
        "encoder.layers.0.attention": 2,
        "encoder.layers.1.attention": 4,
    }
    assert "no weight was trained" in (run.path / "report.html").read_text("utf-8")


def test_its_recipe_makes_it_again_and_without_changes_it_is_its_parent(parent: Run, tmp_path: Path) -> None:
    run = child(parent, tmp_path / "child", changes=CHANGES, epochs=1)
    again = train(recipe=run.path / "recipe.toml", out=tmp_path / "again")
    one, two = weights_of(run.path), weights_of(again.path)
    assert all(torch.equal(one[name], two[name]) for name in one)
    same, old = weights_of(child(parent, tmp_path / "same").path), weights_of(parent.path)
    assert all(torch.equal(old[name], same[name]) for name in old)


def test_a_changed_run_is_changed_again(parent: Run, tmp_path: Path) -> None:
    first = child(parent, tmp_path / "first", changes=CHANGES)
    kept = child(first, tmp_path / "kept")
    assert kept.recipe.model.changes == tuple(CHANGES)
    more = [*CHANGES, {"kind": "remove_heads", "layer": 0, "heads": [1]}, {"kind": "drop_layers", "layers": [1]}]
    second = child(first, tmp_path / "second", changes=more)
    weights = weights_of(second.path)
    old = weights_of(parent.path)["encoder.layers.0.attention.query.weight"]
    # Of four heads of two rows the first, the third and then the last went.
    assert torch.equal(weights["encoder.layers.0.attention.query.weight"], old[2:4])
    assert not any(name.startswith("encoder.layers.1.") for name in weights)
    with pytest.raises(UsageError, match="has gone through 2 changes with which model.changes does not begin"):
        child(first, tmp_path / "other", changes=more[:1])
    with pytest.raises(UsageError, match="change 0 .drop_layers. cannot be made: there is no layer 7"):
        child(parent, tmp_path / "other", changes=[{"kind": "drop_layers", "layers": [7]}])
    with pytest.raises(UsageError, match="model.changes: there is no change of kind 'dropp_layers' .did you mean"):
        child(parent, tmp_path / "other", changes=[{"kind": "dropp_layers"}])
    assert not list(tmp_path.glob("other*"))


def test_a_changed_run_goes_on_where_it_stopped_without_its_parent(parent: Run, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(parent.path, moved)
    values: dict[str, Any] = {"changes": CHANGES, "epochs": 2, "checkpoint_every_steps": 2}
    whole = child(Run(moved), tmp_path / "whole", **values)
    with pytest.raises(Crash):
        child(Run(moved), tmp_path / "parts", progress=stop_at(5), **values)
    shutil.rmtree(moved)
    parts = train(parent.data["path"], out=tmp_path / "parts", resume=True)
    one, two = weights_of(whole.path), weights_of(parts.path)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_wide_branch_that_counted_other_rows_is_not_taken_over(parent: Run, tmp_path: Path) -> None:
    said: list[str] = []
    values = {"train_share": 0.5, "progress": lambda event: said.append(str(event.values.get("sentence")))}
    run = child(parent, tmp_path / "child", changes=CHANGES, **values)
    old, new = weights_of(parent.path), weights_of(run.path)
    assert not torch.equal(old["wide.features.ratio"], new["wide.features.ratio"])
    assert not new["wide.features.score.weight"].any() and old["wide.features.score.weight"].any()
    assert any("new are wide; left are wide; then come 2 changes" in sentence for sentence in said)
