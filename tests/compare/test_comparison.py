"""A comparison from data to page: the same rows for all, failures kept, stopped and gone on with, test read once."""

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import attnkit.compare.cells as cells
from attnkit.compare import compare
from attnkit.compare.conclude import conclusions
from attnkit.compare.info import explain_compared
from attnkit.errors import FailedError, UsageError
from attnkit.run.directory import Run
from attnkit.run.record import read_record, write_record
from attnkit.train.interrupt import Interrupted
from tests.train.small import SMALL, sentences, small_data, split_data, write_csv

SETTINGS: dict[str, Any] = {**SMALL, "epochs": 1, "encoder": "none"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("compared")
    return compare(
        split_data(folder), mechanisms=["additive", "dot", "cosine"], seeds=2, out=folder / "out", test=True, **SETTINGS
    )


def test_every_cell_saw_the_same_rows_and_none_the_test(done: Any) -> None:
    runs = [Run(path) for path in sorted((done.path / "cells").iterdir()) if path.is_dir()]
    assert len(runs) == 6
    assert len({json.dumps(run.data["splits"]) for run in runs}) == 1
    assert all(run.data["splits"]["test"] == [] and run.metrics["test"] == {} for run in runs)
    assert {run.recipe.train.seed for run in runs} == {0, 1}
    plain = [run.recipe.to_plain() for run in runs]
    for one in plain:
        one["model"]["pooling"], one["train"]["seed"] = "", 0
    assert all(one == plain[0] for one in plain)


def test_the_figures_are_those_of_the_runs(done: Any) -> None:
    for line in done.record["arms"]:
        values = [Run(done.path / run).metrics["validation"]["accuracy"]["value"] for run in line["runs"]]
        assert line["each"] == pytest.approx(values) and line["mean"] == pytest.approx(sum(values) / 2)
        assert line["low"] <= line["mean"] <= line["high"] and line["core_seconds"] > 0
    assert [line["name"] for line in done.record["arms"]] == ["additive", "dot", "cosine"]
    by_pair = {(one["a"], one["b"]): one for one in done.record["pairs"]}
    assert set(by_pair) == {("dot", "additive"), ("cosine", "additive"), ("cosine", "dot")}
    assert done.record["arms"][1]["difference"] == by_pair["dot", "additive"]
    assert done.record["reference"] == "additive"
    test = done.record["test"]
    assert test["rows"] == 20 and test["part"] == "test" and "read once" in test["protocol"]


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)


def test_the_page_and_the_picture_say_what_was_found(done: Any) -> None:
    page = (done.path / "report.html").read_text("utf-8")
    for line in done.record["test"]["arms"]:
        assert f"{line['mean']:.4f}" in page
    assert "Leaderboard on the test rows" in page and "The same on the validation rows" in page
    assert all(sentence.split(" ")[0] in page for sentence in done.record["test"]["conclusions"])
    tags = Tags()
    tags.feed(page)
    assert not {"script", "img", "link"} & set(tags.seen)
    assert (done.path / "leaderboard.svg").read_text("utf-8").count('r="4.5"') == 3


def test_going_on_trains_nothing_twice_and_another_plan_is_refused(done: Any, monkeypatch: Any) -> None:
    def never(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("nothing is left to train")

    monkeypatch.setattr(cells, "train", never)
    data, out = done.path.parent / "split", done.path
    same: dict[str, Any] = {"mechanisms": ["additive", "dot", "cosine"], "seeds": 2, "out": out, **SETTINGS}
    again = compare(data, **same, resume=True)
    assert again.record == done.record
    plan = read_record(out / "plan.json")
    del plan["recipe"]["train"]["batch_growth"]
    write_record(out / "plan.json", {name: value for name, value in plan.items() if name != "format"})
    assert compare(data, **same, resume=True).record == done.record, "a field that is new has its default"
    with pytest.raises(UsageError, match="already exists"):
        compare(data, **same)
    with pytest.raises(UsageError, match="another seeds"):
        compare(data, **{**same, "seeds": 3}, resume=True)
    with pytest.raises(UsageError, match="another arms"):
        compare(data, **{**same, "mechanisms": ["additive", "dot"]}, resume=True)
    with pytest.raises(UsageError, match="no plan.json"):
        compare(data, **{**same, "out": out.parent / "none"}, resume=True)


def test_a_cell_that_fails_is_kept_with_its_reason_and_not_ranked(tmp_path: Path, monkeypatch: Any) -> None:
    train = cells.train
    passed: list[bool] = []

    def sometimes(**how: Any) -> Any:
        if how["recipe"].model.pooling == "dot" and how["recipe"].train.seed == 1:
            raise FailedError("the loss is nan")
        if how["recipe"].model.pooling == "cosine" and how["recipe"].train.seed == 1 and not passed:
            passed.append(True)
            raise UsageError("another process trains in it")
        return train(**how)

    monkeypatch.setattr(cells, "train", sometimes)
    what: dict[str, Any] = {"mechanisms": ["additive", "dot", "cosine"], "seeds": 2, "out": tmp_path / "out"}
    data = split_data(tmp_path)
    compare(data, **what, **SETTINGS)
    # What stood in the way of one cell has passed; the loss of the other stays what it was.
    found = compare(data, **what, resume=True, **SETTINGS)
    line = found.record["arms"][1]
    assert line["failures"] == [{"seed": 1, "reason": "the loss is nan"}] and "rank" not in line
    assert sorted(one["rank"] for one in found.record["arms"] if "rank" in one) == [1, 2]
    assert any("dot failed with 1 of 2 seeds" in one for one in found.record["conclusions"])
    assert "the loss is nan" in (found.path / "report.html").read_text("utf-8")
    monkeypatch.setattr(cells, "train", train)
    assert compare(tmp_path / "split", **what, resume=True, **SETTINGS).record == found.record


def test_what_is_stopped_goes_on_to_the_same_figures(done: Any, tmp_path: Path, monkeypatch: Any) -> None:
    train, left = cells.train, [3]

    def stopped(**how: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise Interrupted("stopped by Ctrl-C", "a run")
        return train(**how)

    monkeypatch.setattr(cells, "train", stopped)
    data = done.path.parent / "split"
    what: dict[str, Any] = {"mechanisms": ["additive", "dot", "cosine"], "seeds": 2, "out": tmp_path / "out"}
    with pytest.raises(Interrupted, match="--out .*out and --resume"):
        compare(data, **what, **SETTINGS)
    assert not (tmp_path / "out" / "results.json").exists()
    told = explain_compared(tmp_path / "out")
    assert told is not None and told.sentences == ["3 of 6 trainings are done."] and "unfinished" in told.kind
    monkeypatch.setattr(cells, "train", train)
    again = compare(data, **what, resume=True, test=True, **SETTINGS)
    assert [one["each"] for one in again.record["arms"]] == [one["each"] for one in done.record["arms"]]
    assert [one["mean"] for one in again.record["test"]["arms"]] == [one["mean"] for one in done.record["test"]["arms"]]


def test_a_path_says_what_it_is(done: Any, tmp_path: Path) -> None:
    told = explain_compared(done.path)
    assert told is not None and told.kind == "comparison of mechanisms" and not told.missing
    assert told.sentences[1:] == done.record["test"]["conclusions"]
    (tmp_path / "plan.json").write_text('{"what": "mechanisms"}', "utf-8")
    assert explain_compared(tmp_path) is None and explain_compared(done.path / "cells") is None


def test_ablations_stand_beside_the_recipe(tmp_path: Path) -> None:
    found = compare(
        small_data(tmp_path), ablate=["word_dropout=0", 'beside=["mean"]'], seeds=1, out=tmp_path / "out", **SETTINGS
    )
    assert [one["name"] for one in found.record["arms"]] == ["the recipe", "word_dropout=0", 'beside=["mean"]']
    assert found.record["arms"][0].get("difference") is None and found.record["arms"][1]["difference"]["verdict"]
    assert [(one["a"], one["b"]) for one in found.record["pairs"]] == [
        ("word_dropout=0", "the recipe"),
        ('beside=["mean"]', "the recipe"),
    ]
    assert not any("best" in one for one in found.record["conclusions"])
    assert "one seed says nothing of another" in found.record["protocol"]
    assert read_record(found.path / "results.json")["what"] == "ablation"


def test_equal_means_single_out_none() -> None:
    arm = {"mean": 1.0, "stands_out": True, "failures": [], "difference": None}
    record = {"what": "mechanisms", "measure": "accuracy", "best": "dot", "pairs": [], "seeds": [0, 1, 2]}
    same = conclusions({**record, "arms": [{**arm, "name": "dot"}, {**arm, "name": "cosine"}]})
    assert same == ["All have the same mean accuracy, 1.0000: these figures single out none."]
    (other,) = conclusions({**record, "arms": [{**arm, "name": "dot"}, {**arm, "name": "cosine", "mean": 0.9}]})
    assert "dot has the best mean accuracy, 1.0000, but every other ties with it" in other


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"mechanisms": ["additive", "linformers"]}, "did you mean 'linformer'"),
        ({}, "one of the two"),
        ({"mechanisms": ["additive", "dot"], "ablate": ["dropout=0"]}, "one of the two"),
        ({"mechanisms": ["additive", "dot"], "seeds": 0}, "from 1 to 1000"),
        ({"mechanisms": ["additive", "dot"], "folds": 3}, "evaluate.folds"),
        ({"mechanisms": ["additive", "dot"], "also": ("other.csv",)}, "tasks.also"),
        ({"mechanisms": ["additive", "dot"], "pooling": "cosine"}, "model.pooling is what the mechanisms change"),
        ({"mechanisms": ["additive", "image"]}, "did you mean"),
        ({"ablate": ["width=7+encoder=bilstm"]}, "width=7.encoder=bilstm cannot be trained here: .*even"),
        ({"mechanisms": ["additive", "dot"], "test": True, "data.test": 0.0}, "no labeled test rows"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(tmp_path: Path, what: dict[str, Any], said: str) -> None:
    data = write_csv(tmp_path / "data.csv", sentences(60))
    with pytest.raises(UsageError, match=said):
        compare(data, out=tmp_path / "out", **{**SETTINGS, **what})
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_an_arm_that_cannot_read_packed_batches_has_all_read_sorted_ones(tmp_path: Path) -> None:
    settings = {**SETTINGS, "encoder": "transformer", "batches": "packed", "heads": 2}
    said: list[str] = []
    found = compare(
        small_data(tmp_path), mechanisms=["vaswani", "recurrent"], seeds=1, out=tmp_path / "out",
        progress=lambda event: said.append(event.values.get("sentence", "")), **settings,
    )  # fmt: skip
    assert any("all of them read sorted ones" in one for one in said)
    assert {Run(found.path / one["runs"][0]).recipe.train.batches for one in found.record["arms"]} == {"sorted"}
