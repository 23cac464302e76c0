"""attn ship, attn verify and attn card, called as a user calls them."""

import json
from pathlib import Path

import pytest

from tests.verbs.calling import attn, listing


@pytest.fixture(scope="module")
def shipped(trained: Path) -> Path:
    """The trained run as a bundle beside it, made on the command line."""
    ended = attn("ship", trained / "run", "--to", "bundle", "--out", trained / "reviews.pyz", "--license", "MIT")
    assert ended.code == 0, ended.err
    assert (
        "padding alone" in ended.out and "as shipped" in ended.out and f"python {trained / 'reviews.pyz'}" in ended.out
    )
    return trained / "reviews.pyz"


def test_what_was_shipped_is_told_predicts_and_is_verified(trained: Path, shipped: Path, here: Path) -> None:
    texts = ["a lovely film", "awful plot"]
    told = json.loads(attn("predict", shipped, *texts, "--json").out)
    wanted = json.loads(attn("predict", trained / "run", *texts, "--json").out)
    assert [one["prediction"] for one in told] == [one["prediction"] for one in wanted]
    assert told[0]["probability"] == pytest.approx(wanted[0]["probability"], abs=1e-5)
    about = attn("info", shipped)
    assert about.code == 0 and "bundle" in about.out and "Verified when it was made" in about.out
    proof = json.loads(attn("verify", shipped, "--json", "--floor", "0.1").out)
    assert proof["passed"] and proof["measure"] == "accuracy" and proof["of_artefact"] == proof["of_run"]
    failed = attn("verify", shipped, "--floor", "1.5")
    assert failed.code == 1 and "below the floor 1.5" in failed.err and "as shipped" in failed.out
    ended = attn("predict", shipped, "--file", trained / "reviews.csv", "--out", "out.csv", "--text", "text")
    assert ended.code == 0, ended.err
    assert "prediction" in (here / "out.csv").read_text("utf-8").splitlines()[0]


def test_a_card_holds_figures_with_intervals_and_a_license(trained: Path) -> None:
    ended = attn("card", trained / "run", "--license", "Apache-2.0", "--intended", "Sorting reviews.")
    assert ended.code == 0, ended.err
    figures = json.loads((trained / "run" / "metrics.json").read_text("utf-8"))["test"]["accuracy"]
    assert f"{figures['value']:.4f} | [{figures['low']:.4f}, {figures['high']:.4f}] | {figures['n']}" in ended.out
    for part in ("Apache-2.0", "Sorting reviews.", "## Limits", "## Data", "reviews.csv"):
        assert part in ended.out
    assert str(trained) not in ended.out, "a path of this machine"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--to", "onnxx"], "onnx"),
        (["--to", "torch", "--precision", "int8"], "cannot be shipped in 'int8'"),
        (["--budget", "-1"], "--budget"),
        (["--to", "bundle", "--out", "a.zip"], "ends in .pyz"),
        (["--out", "gone/a"], "no folder"),
        (["--task", "other"], "one task"),
        (["--rows", "-1"], "--rows"),
        (["--data", "gone.csv"], "gone.csv"),
    ],
)
def test_ship_refuses_in_one_sentence_and_leaves_nothing(
    trained: Path, here: Path, words: list[str], said: str
) -> None:
    ended = attn("ship", trained / "run", *words)
    assert ended.code == 2 and said in ended.fault
    assert listing(here) == {}


def test_what_fails_leaves_nothing(trained: Path, shipped: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnkit.bundle.contents import Contents
    from attnkit.ship.targets import TARGETS

    monkeypatch.setattr(type(TARGETS["onnx"]), "make", lambda *_: Contents(shipped).read("model.onnx"))
    ended = attn("ship", trained / "run", "--floor", "1.5", "--out", "out")
    assert ended.code == 1 and "below the floor" in ended.fault
    assert listing(here) == {}


def test_a_missing_run_or_artefact_is_named(here: Path) -> None:
    assert "gone" in attn("ship", "gone").fault
    assert "no artefact" in attn("verify", "gone").fault
    assert "gone" in attn("card", "gone").fault
