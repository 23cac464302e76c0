"""The report: what it says is what was measured, and text from data stays text."""

from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from attnkit.page.excerpt import excerpt
from attnkit.page.report import report_page
from attnkit.page.report_calibration import calibration_body
from attnkit.page.report_mistakes import Mistake, mistakes_body
from attnkit.train import train
from tests.train.small import SMALL, sentences, split_data, write_csv

EMPTY: dict[str, Any] = {
    "protocol": "p", "select": "accuracy", "test": {}, "validation": {}, "baselines": [], "history": [],
    "confusion": None,
}  # fmt: skip


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.linked: list[str] = []
        self.named: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.linked += [value or "" for name, value in attrs if name in ("src", "href")]
        self.named += [value or "" for name, value in attrs if name == "id"]


def read(page: str) -> Tags:
    tags = Tags()
    tags.feed(page)
    return tags


def test_hostile_names_stay_text_and_nothing_is_fetched(tmp_path: Path) -> None:
    bad = "<script>alert('x')</script>&amp;"
    rows = [(f"{text} <img src=x>", bad if label == "pos" else "neg") for text, label in sentences(60)]
    run = train(write_csv(tmp_path / "data.csv", rows), out=tmp_path / "run", **{**SMALL, "epochs": 1})
    page = (run.path / "report.html").read_text("utf-8")
    tags = read(page)
    assert not {"script", "img"} & set(tags.seen)
    assert tags.linked == [f"#{name}" for name in tags.named] and len(tags.named) > 5
    assert "&lt;script&gt;" in page and 'class="mistake"' in page
    accuracy = run.metrics["test"]["accuracy"]
    assert f"accuracy {accuracy['value']:.4f}" in page and run.metrics["protocol"].split(";")[0] in page


def test_every_section_has_what_the_run_measured(tmp_path: Path) -> None:
    run = train(split_data(tmp_path), out=tmp_path / "run", baselines=True, **SMALL)
    page = (run.path / "report.html").read_text("utf-8")
    metrics = run.metrics
    bins = metrics["calibration"]["bins"]
    assert sum(one["n"] for one in bins) == metrics["sizes"]["test"] == 20
    right = sum(one["n"] * one["right"] for one in bins if one["n"])
    assert right / 20 == pytest.approx(metrics["test"]["accuracy"]["value"])
    assert metrics["calibration"]["error"] == pytest.approx(metrics["test"]["calibration_error"]["value"])
    for said in ("reliability diagram", "learning rate", "Baselines on the same rows: majority", "Worst mistakes"):
        assert said in page, said


def test_without_test_rows_the_page_shows_validation(tmp_path: Path) -> None:
    run = train(split_data(tmp_path), out=tmp_path / "run", read_test=False, **{**SMALL, "epochs": 1})
    page = (run.path / "report.html").read_text("utf-8")
    assert run.metrics["calibration"]["rows"] == "validation rows" and "on 20 validation rows" in page


def test_folds_show_the_mistakes_of_the_kept_model(tmp_path: Path) -> None:
    data = write_csv(tmp_path / "data.csv", sentences(60))
    run = train(data, out=tmp_path / "run", folds=3, **{**SMALL, "epochs": 1})
    page = (run.path / "report.html").read_text("utf-8")
    assert "of 20 rows were predicted wrong" in page and "learning rate" not in page
    assert sum(one["n"] for one in run.metrics["calibration"]["bins"]) == 60


def test_many_classes_show_their_confusions_as_a_list() -> None:
    counts = [[9 if t == g else 0 for g in range(40)] for t in range(40)]
    counts[3][5] = 4
    metrics = {**EMPTY, "confusion": {"classes": [f"class {n}" for n in range(40)], "counts": counts}}
    page = report_page("t", metrics, {}, [])
    assert "<td>class 3</td><td>class 5</td>" in page and "class 7" not in page


def test_learning_rates_are_thinned_and_end_at_the_last_step() -> None:
    history = [{"step": 5000, "train_loss": 1.0, "loss": 1.0, "measure": "accuracy", "value": 0.5}]
    page = report_page("t", {**EMPTY, "history": history}, {}, [], rates=[(step, 1e-3) for step in range(1, 5001)])
    points = page.rsplit('points="', 1)[1].split('"')[0].split()
    assert 250 < len(points) <= 302 and "step 5,000" in page


def test_a_bin_without_rows_draws_no_bar() -> None:
    empty = {"low": 0.0, "high": 0.5, "n": 0, "confidence": None, "right": None}
    full = {"low": 0.5, "high": 1.0, "n": 8, "confidence": 0.75, "right": 0.5}
    body = calibration_body({"rows": "rows", "error": 0.25, "bins": [empty, full]}, None)
    assert body.count("<rect") == 1 and "8 rows" in body and "0.250" in body
    assert calibration_body({"rows": "rows", "error": 0.0, "bins": [empty]}, None) == ""


def mistake(pieces: tuple[tuple[str, float | None], ...]) -> Mistake:
    return Mistake("folder/data.csv:7", "a", "b", 0.9, 0.9, 0.1, pieces)


def test_the_heaviest_word_has_the_full_ground_and_the_folder_stays_private() -> None:
    body = mistakes_body([mistake((("warm", 0.2), (" ", None), ("<b>", 0.4), ("x", 0.001)))], 10, 3)
    assert 'rgba(255,140,0,1.00)" title="0.400">&lt;b&gt;</mark>' in body and "rgba(255,140,0,0.50)" in body
    assert body.count("<mark") == 2 and "data.csv:7" in body and "folder" not in body and "3 of 10 rows" in body
    assert "None of 10 rows" in mistakes_body([], 10, 0) and mistakes_body([], 0, 0) == ""


def test_long_texts_are_cut_to_what_weighs_most() -> None:
    pieces = [piece for n in range(4000) for piece in ((f"w{n}", 1.0 if n in (900, 3000) else 1e-6), (" ", None))]
    stretches = excerpt(pieces, most_letters=400, around_letters=90)
    shown = ["".join(text for text, _ in one) for one in stretches]
    assert any("w900 " in one for one in shown) and any("w3000 " in one for one in shown)
    assert sum(map(len, shown)) < 700
    body = mistakes_body([mistake(tuple(pieces))], 1, 1)
    assert len(body) < 3000 and "w900" in body and "… " in body
    assert excerpt(pieces[:40], 400) == [tuple(pieces[:40])]
    assert len(excerpt([("y" * 5000, 1.0)], 400)[0][0][0]) == 400
    assert "".join(text for text, _ in excerpt([("z" * 300, None)] * 4, 400)[0]) == "z" * 600
