"""The report: what it says is what was measured, and text from data stays text."""

from html.parser import HTMLParser
from pathlib import Path

from attnkit.page.report import report_page
from attnkit.train import train
from tests.train.small import SMALL, sentences, write_csv


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.linked: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.linked += [value or "" for name, value in attrs if name in ("src", "href")]


def test_hostile_names_stay_text_and_nothing_is_fetched(tmp_path: Path) -> None:
    bad = "<script>alert('x')</script>&amp;"
    rows = [(text, bad if label == "pos" else "neg") for text, label in sentences(60)]
    run = train(write_csv(tmp_path / "data.csv", rows), out=tmp_path / "run", **SMALL)
    page = (run.path / "report.html").read_text("utf-8")
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen and tags.linked == []
    assert "&lt;script&gt;" in page
    accuracy = run.metrics["test"]["accuracy"]
    assert f"accuracy {accuracy['value']:.4f}" in page and run.metrics["protocol"].split(";")[0] in page


def test_many_classes_show_their_confusions_as_a_list() -> None:
    counts = [[9 if t == g else 0 for g in range(40)] for t in range(40)]
    counts[3][5] = 4
    metrics = {
        "protocol": "p", "select": "accuracy", "test": {}, "validation": {}, "baselines": [], "history": [],
        "confusion": {"classes": [f"class {n}" for n in range(40)], "counts": counts},
    }  # fmt: skip
    page = report_page("t", metrics, {}, [])
    assert "<td>class 3</td><td>class 5</td>" in page and "class 7" not in page
