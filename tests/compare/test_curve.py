"""A learning curve from data to page: the same validation rows, shares that nest, a statement or none."""

from pathlib import Path
from typing import Any

import pytest

from attnkit.compare import curve
from attnkit.compare.curve import SHARES, shares_of
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from tests.train.small import SMALL, small_data, split_data

SETTINGS: dict[str, Any] = {**SMALL, "epochs": 1, "encoder": "none"}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("curve")
    return curve(split_data(folder, 120), shares=(0.5, 0.25, 1.0), seeds=2, out=folder / "out", **SETTINGS)


def test_shares_nest_within_a_seed_and_validation_rows_stay(done: Any) -> None:
    runs = {path.name: Run(path) for path in (done.path / "cells").iterdir() if path.is_dir()}
    splits = [run.data["splits"] for _, run in sorted(runs.items())]
    assert len(runs) == 6 and all(one["test"] == [] for one in splits)
    assert len({tuple(one["validation"]) for one in splits}) == 1
    by_seed = [
        [set(runs[name].data["splits"]["train"]) for name in sorted(runs) if name.endswith(f"seed{s}")] for s in (0, 1)
    ]
    for small, middle, whole in by_seed:
        assert small < middle < whole
    assert by_seed[0][0] != by_seed[1][0] and by_seed[0][2] == by_seed[1][2]


def test_points_are_those_of_the_runs(done: Any) -> None:
    assert [(one["share"], one["train_rows"]) for one in done.record["points"]] == [(0.25, 30), (0.5, 60), (1.0, 120)]
    for one in done.record["points"]:
        values = [Run(done.path / run).metrics["validation"]["accuracy"]["value"] for run in one["runs"]]
        assert one["each"] == pytest.approx(values)
    page = (done.path / "report.html").read_text("utf-8")
    assert done.record["forecast"]["sentence"][:40] in page and "Would more data help?" in page
    assert (done.path / "curve.svg").read_text("utf-8").count('r="4"') == 3


def test_going_on_gives_the_same_record(done: Any) -> None:
    data = done.path.parent / "split"
    again = curve(data, shares=(0.25, 0.5, 1.0), seeds=2, out=done.path, resume=True, **SETTINGS)
    assert again.record == done.record
    with pytest.raises(UsageError, match="another shares"):
        curve(data, shares=(0.25, 1.0), seeds=2, out=done.path, resume=True, **SETTINGS)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ({"shares": (0.5,)}, "two or more"),
        ({"shares": (0.5, 1.5)}, "above 0 and up to 1"),
        ({"seeds": 0}, "from 1 to 1000"),
        ({"train_share": 0.5}, "--shares"),
        ({"folds": 2}, "evaluate.folds"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, what: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        curve(small_data(tmp_path), out=tmp_path / "out", **{**SETTINGS, **what})
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]


def test_shares_are_read_as_numbers_or_percents() -> None:
    assert shares_of(["0.1,0.5", "1"]) == (0.1, 0.5, 1.0) and shares_of(["10%,100%"]) == (0.1, 1.0)
    assert shares_of([]) == SHARES
    with pytest.raises(UsageError, match="all"):
        shares_of(["all"])
