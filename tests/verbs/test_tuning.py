"""attn tune, as a user types it."""

import json
import sys
from pathlib import Path

import pytest

from tests.verbs.calling import SMALL, attn, listing, review_csv

FIELDS = [*(f"--set={field}" for field in SMALL if not field.startswith("width")), "--set=patience=1"]
SPACE = ["--space", "train.learning_rate={low=0.001,high=0.1,log=true}", "--space", "model.width=[7,8]"]


@pytest.fixture
def reviews(here: Path) -> Path:
    (here / "reviews.csv").write_text(review_csv(), encoding="utf-8")
    return here / "reviews.csv"


def test_a_study_from_the_shell_to_the_next_run(reviews: Path, here: Path) -> None:
    ended = attn("tune", reviews, "--trials", 4, "--encoder", "bilstm", "--sampler", "random", *SPACE, *FIELDS)
    assert ended.code == 0, ended.err
    (study,) = (here / "runs").iterdir()
    assert study.name.endswith("-reviews-tune")
    for words in (
        "searching 2 fields: 4 settings, one worker",
        "[4 of 4]",
        "impossible (a bilstm gives two halves",
        "the best so far",
        "Quote the test figure",
        "place",
        f"attn train --recipe {study.relative_to(here) / 'best.toml'}",
    ):
        assert words in ended.out, words
    assert ended.out.count("The text is the column") == 1
    told = attn("info", study)
    assert told.code == 0 and "A finished study of settings" in told.out and "best.toml" in told.out
    listed = attn("runs", here / "runs")
    assert "reviews-tune" not in listed.out
    again = attn("train", "--recipe", study / "best.toml", "--out", here / "again")
    assert again.code == 0, again.err
    (study / "best.toml").unlink()
    broken = attn("info", study)
    assert broken.code == 1 and "best.toml missing" in broken.fault


def test_json_is_one_document_and_the_end_may_be_left_out(reviews: Path) -> None:
    ended = attn("tune", reviews, "--trials", 1, "--no-final", "--json", "--out", "study", *SPACE, *FIELDS)
    assert ended.code == 0, ended.err
    record = json.loads(ended.out)
    assert record["study"] == "study" and record["test"] is None and record["counted"] == 1
    assert not (Path("study") / "final").exists()


def test_a_space_in_a_recipe_is_searched(reviews: Path, here: Path) -> None:
    recipe = here / "space.toml"
    recipe.write_text(
        '[tune]\nsampler = "grid"\n[tune.space]\n"model.encoder" = ["none", "cnn"]\n"train.batch_rows" = [16, 32]\n'
    )
    fields = [field for field in FIELDS if "batch_rows" not in field]
    ended = attn("tune", reviews, "--recipe", recipe, "--no-final", "--out", "study", "--set=width=8", *fields)
    assert ended.code == 0, ended.err
    assert "4 complete" in attn("info", "study").out
    assert "searching 2 fields: 4 settings" in ended.out and "[4 of 4]" in ended.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--space", "model.widht=[8]"], "'model.width'"),
        (["--space", "model.width=[8,99999]"], "model.width cannot be 99999"),
        (["--space", "model.width"], "field=values"),
        (["--space", "model.width=8"], "a list of values or a range"),
        (["--space", "width=[8]", "--space", "width=[9]"], "twice"),
        (["--space", "model.encoder=[cnn,bilstm]"], "a list of values or a range"),
        (["--space", "model.encoder=['cnn']", "--encoder", "none"], "given and searched"),
        (["--trials", "0.5"], "--trials"),
        (["--trials", "-1"], "--trials"),
        (["--time", "soon"], "soon"),
        (["--sampler", "magic"], "--sampler"),
        (["--workers", "0"], "--workers"),
        (["--folds", "1000"], "tune_folds"),
        (["--set", "evaluate.folds=3"], "tune_folds"),
        (["--set", "minutes=3"], "tune_minutes"),
        (["--set", "trials=3", "--trials", "4"], "twice"),
        (["--resume"], "no unfinished study"),
        (["--resume", "--out", "elsewhere", "--join", "x"], "leave --out, --resume out"),
        (["--join", "x", "--trials", "3"], "leave tune.trials out"),
        (["--join", "x"], "no study at x"),
        (["--storage", "there/is/no/folder.jsonl"], "no folder"),
        (["--out", "reviews.csv"], "already exists"),
    ],
)
def test_wrong_use_is_one_sentence_and_leaves_nothing(reviews: Path, here: Path, words: list[str], said: str) -> None:
    before = listing(here)
    ended = attn("tune", reviews, *words)
    assert ended.code == 2 and said in ended.fault, ended.err
    assert listing(here) == before


def test_without_the_library_its_name_is_said(reviews: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    before = listing(here)
    ended = attn("tune", reviews)
    assert ended.code == 2 and "pip install 'attnkit[tune]'" in ended.fault
    assert listing(here) == before
