"""attn shrink: what is said of importance, and children that are smaller."""

import json
from pathlib import Path

import pytest

from attnkit.run.directory import Run
from attnkit.shrink.shrinking import RECORD
from attnkit.train import load
from tests.verbs.calling import attn, listing, small_train


@pytest.fixture(scope="module")
def parent(trained: Path) -> Path:
    """A run of a transformer of two layers of four heads."""
    place = trained / "layered"
    words = [piece for field in ("layers=2", "heads=4") for piece in ("--set", field)]
    ended = small_train(trained / "reviews.csv", "--encoder", "transformer", *words, "--out", place)
    assert ended.code == 0, ended.err
    return place


def test_importance_is_shown_and_nothing_is_made(parent: Path) -> None:
    before = listing(parent.parent)
    for way in ("ablation", "gradient"):
        found = json.loads(attn("shrink", parent, "--show", "--importance", way, "--json").out)
        assert [len(each) for each in found["heads"].values()] == [4, 4] and len(found["layers"]) == 2
        assert [len(each) for each in found["units"].values()] == [32, 32] and found["importance"] == way
    told = attn("shrink", parent, "--show", "--rows", 5)
    assert told.code == 0 and "Measured on 5 validation rows" in told.out and "Inner units" in told.out
    assert listing(parent.parent) == before


def test_a_child_is_smaller_and_stands_beside_its_parent(parent: Path, here: Path) -> None:
    before = listing(parent)
    words = ("--heads", "50%", "--units", "25%", "--layers", 1, "--distill", "--out", here / "child")
    ended = attn("shrink", parent, *words)
    assert ended.code == 0, ended.err
    assert "before" in ended.out and "core-ms a text" in ended.out and "of 2 layers" in ended.out
    run, old = Run(here / "child"), Run(parent)
    kinds = [change["kind"] for change in run.recipe.model.changes]
    assert kinds == ["drop_layers", "remove_heads", "remove_units"]
    assert len(run.recipe.model.changes[1]["heads"]) == 2 and len(run.recipe.model.changes[2]["units"]) == 8
    assert run.recipe.distill.teacher == (str(parent),) and run.recipe.train.learning_rate == pytest.approx(
        0.3 * old.recipe.train.learning_rate
    )
    told = attn("card", here / "child").out
    assert "Changed since: drop_layers, remove_heads, remove_units" in told and f"the run {parent.name}" in told
    record = json.loads((here / "child" / RECORD).read_text("utf-8"))
    assert record["after"]["parameters"] == sum(p.numel() for p in load(run).network.parameters())
    assert record["before"]["parameters"] > record["after"]["parameters"]
    assert record["before"]["disk_bytes"] > record["after"]["disk_bytes"]
    figures = {name: Run(place).metrics["test"] for name, place in (("before", parent), ("after", here / "child"))}
    for name, held in figures.items():
        assert record[name]["value"] == pytest.approx(held[record["measure"]]["value"])
    change, low, high = record["difference"]
    assert change == pytest.approx(record["after"]["value"] - record["before"]["value"]) and low <= change <= high
    assert len(record["found"]["layers"]) == 1 and list(record["found"]["heads"]) == ["0"]
    assert listing(parent) == before
    for verb, more in (("predict", ("a warm plot",)), ("heads", ("--text", "a very warm and fine plot")), ("info", ())):
        assert attn(verb, here / "child", *more).code == 0
    assert attn("see", here / "child", "--text", "a warm plot", "--out", here / "seen.html").code == 0
    assert attn("evaluate", here / "child").code == 0
    again = attn("shrink", here / "child", "--heads", 1, "--epochs", 0, "--importance", "gradient", "--json")
    assert again.code == 0, again.err
    made = json.loads(again.out)
    assert made["run"] == str(here / "child-shrunk") and len(Run(made["run"]).recipe.model.changes) == 4
    assert made["before"]["parameters"] > made["after"]["parameters"]


def test_what_cannot_be_is_refused_and_leaves_nothing(parent: Path, trained: Path) -> None:
    before = listing(trained)
    for words, sentence in (
        ((parent,), "Nothing is to go"),
        ((parent, "--heads", "half"), "--heads takes a share"),
        ((parent, "--heads", 9), "--heads 9 is 9 of the 8 heads there are"),
        ((parent, "--layers", 2), "--layers 2 leaves no layer of 2"),
        ((parent, "--units", "100%"), "leaves layer 0 no unit"),
        ((parent, "--heads", 1, "--out", trained), "already exists"),
        ((parent, "--heads", 1, "--rows", 0), "--rows must be at least 1"),
        ((trained / "run", "--heads", 1), "run cannot be shrunk: changes are to the layers of a transformer or bert"),
        ((trained / "nothing", "--heads", 1), "There is no run"),
    ):
        assert sentence in attn("shrink", *words).fault
    assert listing(trained) == before


def test_heads_that_are_tied_are_refused(trained: Path, here: Path) -> None:
    ended = small_train(
        trained / "reviews.csv", "--encoder", "transformer", "--attention", "talking-heads", "--out", here / "tied"
    )
    assert ended.code == 0, ended.err
    fault = attn("shrink", here / "tied", "--heads", 1, "--importance", "gradient").fault
    assert "the heads of Pairwise cannot go one by one: its heads are tied by the parameter refine.0.score_mix" in fault
    assert not (here / "tied-shrunk").exists() and not (here / "tied-shrunk.partial").exists()
