"""attn lr: what it prints, draws and refuses."""

import json
import re
from pathlib import Path

from tests.verbs.calling import SMALL, attn, listing, review_csv

FIELDS = [piece for field in SMALL if not field.startswith("epochs") for piece in ("--set", field)]


def test_a_rate_is_suggested_and_drawn(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(80))
    ended = attn("lr", "d.csv", *FIELDS, "--steps", "120", "--out", "lr.png")
    assert ended.code == 0, ended.err
    assert re.search(r"^learning rate [0-9.e-]+: ", ended.out, re.MULTILINE)
    assert "64 train and 8 validation rows; 8 test rows are left unread" in ended.out
    for name in ("train.epochs", "train.patience", "train.learning_rate", "train.warmup_steps"):
        assert name not in ended.out
    assert "Training ends: the loss has diverged, so no higher rate is tried." in ended.out
    assert "diverged" in ended.out and "The picture is in lr.png." in ended.out
    assert (here / "lr.png").read_bytes().startswith(b"\x89PNG")
    assert set(listing(here)) == {"d.csv", "lr.png"}


def test_json_holds_every_number(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(80))
    ended = attn("lr", "d.csv", *FIELDS, "--steps", "120", "--json")
    found = json.loads(ended.out)
    assert ended.code == 0 and not ended.err and found["out"] is None
    assert len(found["rates"]) == len(found["losses"]) == len(found["smoothed"])
    assert found["suggested"] in (found["steepest"], (found["diverged"] or 0) / 10)


def test_places_are_refused_before_the_work(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(80))
    (here / "there.png").write_text("mine")
    assert "ends in .png" in attn("lr", "d.csv", "--out", "lr.svg").fault
    assert "already exists" in attn("lr", "d.csv", "--out", "there.png").fault
    assert "folder that is there" in attn("lr", "d.csv", "--out", "no/lr.png").fault
    assert "--force" in attn("lr", "d.csv", "--force").fault
    assert (here / "there.png").read_text() == "mine"
