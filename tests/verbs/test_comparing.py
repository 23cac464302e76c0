"""attn compare, attn curve and attn errors, called as a user calls them."""

import csv
import json
from pathlib import Path

import pytest

from tests.verbs.calling import SMALL, attn, listing, review_csv, review_rows

FIELDS = [piece for field in [*SMALL, "encoder=none"] for piece in ("--set", field)]


@pytest.fixture
def reviews(here: Path) -> Path:
    (here / "reviews.csv").write_text(review_csv(), encoding="utf-8")
    return here / "reviews.csv"


def test_compare_prints_a_leaderboard_and_what_may_be_said(reviews: Path) -> None:
    ended = attn("compare", reviews, "--mechanisms", "additive,dot,cosine", "--seeds", 2, "--out", "out", *FIELDS)
    assert ended.code == 0, ended.err
    assert "6 of 6: cosine, seed 1" in ended.out and "core-seconds" in ended.out
    assert "Of 3 pairs" in ended.out and "report.html" in ended.out
    again = attn(
        "compare", reviews, "--mechanisms", "additive,dot,cosine", "--seeds", 2, "--out", "out", "--resume", "--json",
        *FIELDS,
    )  # fmt: skip
    record = json.loads(again.out)
    assert [one["name"] for one in record["arms"]] == ["additive", "dot", "cosine"] and record["test"] is None
    assert all(sentence in ended.out for sentence in record["conclusions"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--mechanisms", "additive,cosinus"], "did you mean 'cosine'"),
        (["--mechanisms", "additive"], "name at least 2 mechanisms"),
        (["--mechanisms", "additive,additive"], "'additive' is named twice"),
        (["--ablate", "word_drop=0"], "the nearest is"),
        (["--ablate", "word_dropout"], "field=value"),
        ([], "one of the two"),
        (["--mechanisms", "additive,dot", "--resume"], "--out"),
        (["--mechanisms", "additive,dot", "--attention", "cosine"], "model.pooling is what the mechanisms change"),
        (["--mechanisms", "additive,dot", "--time", "soon"], "soon"),
    ],
)
def test_compare_refuses_in_one_sentence_and_leaves_nothing(reviews: Path, words: list[str], said: str) -> None:
    before = listing(reviews.parent)
    ended = attn("compare", reviews, *words, *FIELDS)
    assert said in ended.fault and ended.code == 2
    # Before anything is read: nothing was inferred or chosen yet.
    assert listing(reviews.parent) == before and ("is what the mechanisms change" in said or not ended.out)


def test_curve_prints_its_points_and_a_statement(reviews: Path) -> None:
    ended = attn("curve", reviews, "--shares", "25%,50%,100%", "--seeds", 1, "--out", "out", *FIELDS)
    assert ended.code == 0, ended.err
    assert "25%" in ended.out and "train rows" in ended.out
    record = json.loads((reviews.parent / "out" / "results.json").read_text("utf-8"))
    assert record["forecast"]["sentence"] in ended.out and len(record["points"]) == 3
    assert "shares" in attn("curve", reviews, "--shares", "2", *FIELDS).fault


def test_errors_shows_and_writes_the_worst(trained: Path, here: Path) -> None:
    # What a model that learned anything answers is wrong by these labels.
    turned = [(text, "bad" if label == "good" else "good") for text, label in review_rows()]
    (here / "turned.csv").write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in turned), "utf-8")
    data = here / "turned.csv"
    ended = attn("errors", trained / "run", data, "-n", 3, "--out", "m.html", "--out", "m.csv", "--out", "m.jsonl")
    assert ended.code == 0, ended.err
    found = json.loads(attn("errors", trained / "run", data, "-n", 3, "--json").out)
    assert len(found["worst"]) == 3 == ended.out.count(": predicted ") and found["wrong"] > 3
    assert found["confused"][0]["true"] in ended.out and "mistaken for what" in ended.out
    page = (here / "m.html").read_text("utf-8")
    assert page.count('class="mistake"') == 3 and "Most frequent confusions" in page
    with open(here / "m.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["text"] for row in rows] == [one["text"] for one in found["worst"]]
    assert [json.loads(line)["place"] for line in (here / "m.jsonl").read_text("utf-8").splitlines()] == [
        one["place"] for one in found["worst"]
    ]
    for one in found["worst"]:
        assert "".join(one["text"].split()) and sum(part["weight"] for part in one["looked"]) == pytest.approx(
            1, abs=1e-4
        )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-n", 0], "-n takes a number"),
        (["--force"], "--force"),
        (["--out", "m.txt"], "m.txt has no ending of a format for this; name a file that ends in .html, .csv, .tsv"),
        (["--out", "m.pdf"], "m.pdf has no ending of a format for this; name a file that ends in .html, .csv, .tsv"),
        (["--out", "gone/m.csv"], "not a place"),
    ],
)
def test_errors_refuses_in_one_sentence(trained: Path, here: Path, words: list[object], said: str) -> None:
    assert said in attn("errors", trained / "run", *words).fault
    assert list(here.iterdir()) == []
