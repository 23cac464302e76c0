"""attn shrink: the rest held otherwise, a search, and a recipe that is taught."""

import json
from pathlib import Path

import pytest

from attnkit.run.directory import Run
from tests.verbs.calling import attn, small_train


@pytest.fixture(scope="module")
def parent(trained: Path) -> Path:
    """A run of a transformer of two heads, without a wide branch."""
    place = trained / "narrow"
    words = [piece for field in ("heads=2", "wide_ngrams=0", "ngrams=0") for piece in ("--set", field)]
    ended = small_train(trained / "reviews.csv", "--encoder", "transformer", *words, "--out", place)
    assert ended.code == 0, ended.err
    return place


def test_what_is_left_is_held_otherwise(parent: Path, here: Path) -> None:
    ended = attn(
        "shrink", parent, "--words", "25%", "--store", "int8", "--epochs", 0, "--out", here / "child", "--json"
    )
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert [change["kind"] for change in told["changes"]] == ["prune_vocabulary", "integer_weights"]
    assert told["after"]["disk_bytes"] < told["before"]["disk_bytes"]
    assert "--store int8 or int4" in attn("shrink", parent, "--rounded", "--out", here / "other").fault
    assert "--rank takes a share between 0% and 100%" in attn("shrink", parent, "--rank", 90).fault
    assert not (here / "other").exists()


def test_a_frontier_is_searched_and_shown(parent: Path, here: Path) -> None:
    words = ("--target", "size", "--max-loss", "60pt", "--time", "3s", "--out", here / "found")
    ended = attn("shrink", parent, *words)
    assert ended.code == 0, ended.err
    assert "the parent" in ended.out and "points are kept" in ended.out and "frontier.svg" in ended.out
    told = json.loads(attn("shrink", parent, *words, "--resume", "--json").out)
    assert told["state"] == "done" and all(Run.open(here / "found" / one["run"]).complete for one in told["kept"])
    assert told["before"]["disk_bytes"] > told["kept"][0]["disk_bytes"]


def test_ways_that_exclude_one_another_are_refused(parent: Path, here: Path) -> None:
    for words, sentence in (
        (("--target", "size", "--heads", "50%"), "--target searches what goes and how"),
        (("--target", "size", "--to-recipe", here / "small.toml"), "--target searches what goes and how"),
        (("--heads", "50%", "--resume"), "--max-loss, --time and --resume are of a search"),
        (("--target", "size", "--max-loss", "much"), "--max-loss takes points such as 0.5pt"),
        (("--target", "size", "--time", "10"), "--time takes a number with its unit"),
        (("--to-recipe", here / "small.toml", "--epochs", 3), "set train.epochs in"),
        (("--show", "--heads", "50%"), "--show makes nothing, so that nothing comes of --heads, --out"),
        (("--show", "--epochs", 0, "--store", "int8"), "nothing comes of --epochs, --out, --store"),
        (("--store", "int8", "--distill"), "--store int8 alone leaves nothing to train, and --distill would"),
    ):
        assert sentence in attn("shrink", parent, *words, "--out", here / "refused").fault
    assert not (here / "refused").exists()
