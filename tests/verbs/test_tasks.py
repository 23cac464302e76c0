"""Several tasks by commands alone."""

import json
from pathlib import Path

from tests.verbs.calling import attn, review_csv, small_train


def colors() -> str:
    words = ("red", "blue", "green")
    return "text,label\n" + "".join(f"the {words[n % 3]} thing {n},{words[n % 3]}\n" for n in range(60))


def test_train_predict_and_evaluate_several_tasks(here: Path) -> None:
    (here / "reviews.csv").write_text(review_csv(80))
    (here / "colors.csv").write_text(colors())
    more = ("--set", "learning_rate=0.05", "--epochs", "6")
    ended = small_train("reviews.csv", "--also", "colors.csv", "--out", "run", *more)
    assert ended.code == 0, ended.err
    assert "The task colors:" in ended.out and "The task colors\n" in ended.out
    assert "learned together with colors" in ended.out
    told = attn("predict", "run", "the blue thing", "--task", "colors", "--json")
    assert json.loads(told.out)[0]["prediction"] == "blue"
    assert json.loads(attn("predict", "run", "a lovely film", "--json").out)[0]["prediction"] in ("good", "bad")
    measured = json.loads(attn("evaluate", "run", "--task", "colors", "--json").out)
    assert measured["measures"] == json.loads((here / "run" / "metrics.json").read_text())["tasks"][0]["test"]
    assert "none called 'shapes'" in attn("predict", "run", "x", "--task", "shapes").fault
    assert attn("lr", "reviews.csv", "--also", "colors.csv").code == 2
    assert "reviews" in attn("info", "run").out


def test_the_range_test_takes_several_tasks(here: Path) -> None:
    (here / "reviews.csv").write_text(review_csv(80))
    (here / "colors.csv").write_text(colors())
    small = [word for field in ("embedding_width=8", "width=8", "batch_rows=32") for word in ("--set", field)]
    ended = attn("lr", "reviews.csv", *small, "--set", 'tasks.also=["colors.csv"]', "--steps", "60", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["suggested"] > 0
