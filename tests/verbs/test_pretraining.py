"""attn pretrain, and attn train --from: what they print, keep and refuse."""

import json
from pathlib import Path

from tests.verbs.calling import SMALL, attn, listing, review_csv

FIELDS = [piece for field in SMALL for piece in ("--set", field)]
WORDS = ("--encoder", "transformer", "--set", "heads=2", *FIELDS)


def test_words_are_learned_and_a_training_begins_with_them(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(60))
    ended = attn("pretrain", "d.csv", *WORDS, "--out", "words")
    assert ended.code == 0, ended.err
    assert "perplexity" in ended.out and "attn train DATA --from words" in ended.out
    assert "Labels are not read." in ended.out
    begun = attn("train", "d.csv", "--from", "words", "--epochs", "1", "--out", "run", "--json")
    assert begun.code == 0, begun.err
    assert json.loads(begun.out)["test"]["accuracy"]["n"] == 6
    assert json.loads((here / "run" / "parent").read_text())["said"] == "the run words"
    asked = attn("evaluate", "words", "d.csv", "--json")
    assert asked.code == 0 and "perplexity" in asked.out


def test_lines_of_a_text_file_are_texts(here: Path) -> None:
    (here / "t.txt").write_text("\n".join(f"the film was good and no {number}" for number in range(40)))
    ended = attn("pretrain", "t.txt", "--objective", "causal", "--encoder", "bilstm", *FIELDS, "--out", "w")
    assert ended.code == 0 and "Each line is a text." in ended.out and "column" not in ended.out
    assert "model.wide_" not in ended.out and "branch_dropout" not in ended.out
    found = json.loads((here / "w" / "metrics.json").read_text())
    assert found["sizes"] == {"train": 36, "validation": 4, "test": 0}
    assert set(found["validation"]) == {"perplexity", "word_accuracy"}


def test_wrong_starts_are_one_sentence_and_leave_nothing(here: Path) -> None:
    (here / "d.csv").write_text(review_csv(60))
    before = listing(here)
    assert "nothing at none" in attn("train", "d.csv", "--from", "none", "--out", "run").fault
    assert "neither a run nor a checkpoint" in attn("train", "d.csv", "--from", "d.csv", "--out", "run").fault
    causal = attn("pretrain", "d.csv", "--objective", "causal", "--encoder", "cnn", "--out", "run")
    assert causal.code == 2 and 'set model.language = "masked" (--objective masked)' in causal.fault
    labels = attn("pretrain", "d.csv", "--label", "label", "--out", "run")
    assert labels.code == 2 and "leave --label out" in labels.fault
    assert listing(here) == before
