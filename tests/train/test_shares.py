"""Fewer rows: shares of the training rows that nest, and test rows that stay unread."""

from pathlib import Path

import pytest

from attnkit.errors import UsageError
from attnkit.train import train
from tests.train.small import SMALL, small_data, split_data


def rows_of(run: object) -> dict[str, list[str]]:
    return run.data["splits"]  # type: ignore[attr-defined, no-any-return]


def test_a_smaller_share_is_part_of_a_larger_one_and_nothing_else_changes(tmp_path: Path) -> None:
    data, small = small_data(tmp_path), {**SMALL, "epochs": 1}
    kept = [rows_of(train(data, out=tmp_path / f"{s}", train_share=s, **small)) for s in (0.25, 0.5, 1.0)]
    sets = [set(one["train"]) for one in kept]
    assert sets[0] < sets[1] < sets[2]
    assert [len(one["train"]) for one in kept] == [16, 32, 64]
    assert kept[0]["validation"] == kept[2]["validation"] and kept[0]["test"] == kept[2]["test"]
    other = rows_of(train(data, out=tmp_path / "other", train_share=0.5, seed=3, **small))
    assert set(other["train"]) != sets[1] and other["validation"] == kept[0]["validation"]


def test_unread_test_rows_leave_no_figure(tmp_path: Path) -> None:
    run = train(split_data(tmp_path), out=tmp_path / "run", read_test=False, **{**SMALL, "epochs": 1})
    assert run.metrics["test"] == {} and rows_of(run)["test"] == [] and run.metrics["sizes"]["test"] == 0
    assert "left unread" in run.metrics["protocol"]


@pytest.mark.parametrize("field", [{"train_share": 0.5}, {"read_test": False}])
def test_folds_take_all_rows(tmp_path: Path, field: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(field))):
        train(small_data(tmp_path), out=tmp_path / "run", folds=2, **SMALL, **field)
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]
