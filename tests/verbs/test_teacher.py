"""attn train --teacher: a run that imitates others."""

from pathlib import Path

from attnkit.run.directory import Run
from tests.verbs.calling import attn, review_csv, small_train


def test_a_run_may_be_named_as_teacher_once_or_more(tmp_path: Path) -> None:
    data = tmp_path / "reviews.csv"
    data.write_text(review_csv(), encoding="utf-8")
    assert small_train(data, "--out", tmp_path / "first").code == 0
    ended = small_train(data, "--out", tmp_path / "second", "--teacher", tmp_path / "first", "--encoder", "none")
    assert ended.code == 0 and "first taught" in ended.err + ended.out
    assert Run.open(tmp_path / "second").recipe.distill.teacher == (str(tmp_path / "first"),)
    both = ("--teacher", tmp_path / "first", "--teacher", tmp_path / "second")
    assert small_train(data, "--out", tmp_path / "third", *both).code == 0
    assert len(Run.open(tmp_path / "third").recipe.distill.teacher) == 2
    assert "no run at" in small_train(data, "--out", tmp_path / "no", "--teacher", tmp_path / "none").fault
    assert "imitation" not in attn("info", tmp_path / "second", "--json").out
    assert not (tmp_path / "no").exists() and not (tmp_path / "no.partial").exists()
