"""Learning from feedback: guarded, undone where it harms, the same in one go or several, and back to any point."""

import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.adapt import Learner, LearnSettings, learn
from attnkit.adapt.feedback import read_feedback
from attnkit.adapt.info import explain_learner
from attnkit.adapt.learn import learner_at
from attnkit.adapt.live import LiveLearner
from attnkit.adapt.prequential import Prequential
from attnkit.adapt.step import copy_of
from attnkit.data.schema import Schema
from attnkit.errors import FailedError, UsageError
from attnkit.run.directory import Run
from attnkit.run.record import read_record
from attnkit.train import load, train
from attnkit.train.evaluation import evaluate
from tests.verbs.calling import attn, listing, review_csv

SMALL: dict[str, Any] = {
    "embedding_width": 16, "width": 16, "epochs": 12, "learning_rate": 0.01, "wide_ngrams": 0, "encoder": "cnn",
}  # fmt: skip
# Words that training met with the other meaning, or with none.
TURNED = {"good": ["dull", "cold"], "bad": ["fine", "warm"]}


def lines(count: int, seed: int, turned: bool = True, **more: Any) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    words = TURNED if turned else {"good": ["fine", "lovely"], "bad": ["awful", "dark"]}
    labels = [draw.choice(["good", "bad"]) for _ in range(count)]
    return [{"text": f"the plot was {draw.choice(words[label])} and the", "label": label, **more} for label in labels]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("learned")
    (folder / "reviews.csv").write_text(review_csv(), "utf-8")
    return train(folder / "reviews.csv", out=folder / "run", **SMALL)


def weights(learner: Learner) -> dict[str, torch.Tensor]:
    return copy_of(learner.network, learner.names)


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


FREE = {"update_rows": 8, "max_loss": 1.0, "learning_rate": 0.01}


def test_it_learns_what_the_frozen_model_gets_wrong_and_leaves_the_run_alone(run: Run, tmp_path: Path) -> None:
    before = listing(run.path)
    path = write(tmp_path / "feedback.jsonl", lines(80, 1, time=1.0, model="run", prediction=None))
    found = learn(run, path, out=tmp_path / "learner", settings=FREE)
    assert found.rows == 80 and found.points == found.point == 10 and found.undone == 0
    seen = found.prequential
    assert seen["n"] == 80 and seen["difference"]["low"] > 0.1
    assert seen["difference"]["value"] == pytest.approx(seen["learned"]["value"] - seen["frozen"]["value"])
    # The frozen figure is that of the run on the same rows.
    (tmp_path / "same.csv").write_text(
        "text,label\n" + "".join(f"{row['text']},{row['label']}\n" for row in lines(80, 1)), "utf-8"
    )
    assert seen["frozen"]["value"] == pytest.approx(evaluate(run, tmp_path / "same.csv").measures["accuracy"].value)
    assert listing(run.path) == before


def test_rows_are_predicted_before_they_are_learned_from(run: Run, tmp_path: Path) -> None:
    # One update alone: nothing was learned before any of its rows, so both figures are the frozen model's.
    path = write(tmp_path / "feedback.jsonl", lines(32, 2))
    seen = learn(run, path, out=tmp_path / "learner", settings={**FREE, "update_rows": 32}).prequential
    assert seen["learned"] == seen["frozen"] and seen["difference"]["value"] == 0


def test_in_one_go_or_in_several_it_is_the_same(run: Run, tmp_path: Path) -> None:
    rows = lines(60, 3)
    whole = write(tmp_path / "whole.jsonl", rows)
    learn(run, whole, out=tmp_path / "one", settings=FREE)
    grown = write(tmp_path / "grown.jsonl", rows[:21])
    first = learn(run, grown, out=tmp_path / "two", settings=FREE)
    assert first.rows == 16
    write(grown, rows)
    second = learn(run, grown, out=tmp_path / "two")
    assert second.rows == 40 and second.point == 7
    one, two = learner_at(run, tmp_path / "one"), learner_at(run, tmp_path / "two")
    assert same(weights(one), weights(two)) and not same(weights(one), weights_frozen(one))
    assert learn(run, whole, out=tmp_path / "one").rows == 0


def weights_frozen(learner: Learner) -> dict[str, torch.Tensor]:
    return copy_of(learner.frozen.network, learner.names)


def test_what_harms_the_guard_is_undone(run: Run, tmp_path: Path) -> None:
    turned = [{**row, "label": "bad" if row["label"] == "good" else "good"} for row in lines(24, 4, turned=False)]
    path = write(tmp_path / "feedback.jsonl", turned)
    harsh = {"update_rows": 8, "max_loss": 0.0, "learning_rate": 0.2, "replay_rows": 0, "steps": 8}
    found = learn(run, path, out=tmp_path / "learner", settings=harsh)
    assert found.undone == 3 and found.point == found.points == 0
    learner = learner_at(run, tmp_path / "learner")
    assert same(weights(learner), weights_frozen(learner))
    assert found.guard["learned"] == found.guard["frozen"]
    assert all("guard rows fell" in event.values["reason"] for event in learner.folder.events())
    allowed = learn(run, path, out=tmp_path / "free", settings={**harsh, "max_loss": 1.0})
    assert allowed.points == 3 and allowed.guard["learned"] < allowed.guard["frozen"]


def test_back_to_any_point_and_on_from_there(run: Run, tmp_path: Path) -> None:
    rows = lines(48, 5)
    path = write(tmp_path / "feedback.jsonl", rows)
    out = tmp_path / "learner"
    learn(run, write(tmp_path / "half.jsonl", rows[:24]), out=out, settings=FREE)
    at_three = weights(learner_at(run, out))
    learn(run, path, out=out)
    back = learn(run, back=3, out=out, save=tmp_path / "three")
    assert back.point == 3 and back.points == 6
    assert same(weights(learner_at(run, out)), at_three)
    saved = load(tmp_path / "three").network
    assert all(torch.equal(value, dict(saved.named_parameters())[name]) for name, value in at_three.items())
    assert Run.open(tmp_path / "three").metrics["test"] == {} and (tmp_path / "three" / "report.html").is_file()
    assert read_record(tmp_path / "three" / "parent")["path"] == str(run.path.absolute())
    assert attn("info", tmp_path / "three").code == 0
    # The next point stands on the third; feedback behind it is neither learned anew nor replayed.
    more = learn(run, write(path, [*rows, *lines(8, 6)]), out=out)
    assert more.rows == 8 and more.point == 7
    learner = learner_at(run, out)
    assert learner.way == [1, 2, 3, 7]
    learn(run, back=0, out=out)
    learner = learner_at(run, out)
    assert same(weights(learner), weights_frozen(learner))


def test_the_encoder_moves_only_where_everything_may(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "feedback.jsonl", lines(8, 7))
    for everything in (False, True):
        out = tmp_path / str(everything)
        learn(run, path, out=out, settings={**FREE, "everything": everything})
        learner = learner_at(run, out)
        moved = [
            name
            for name, value in learner.network.named_parameters()
            if not torch.equal(value, dict(learner.frozen.network.named_parameters())[name])
        ]
        assert any(name.startswith("encoder.") for name in moved) == everything
        assert "head.weight" in moved


def test_what_a_crash_cuts_short_did_not_happen(run: Run, tmp_path: Path) -> None:
    rows, out = lines(24, 8), tmp_path / "learner"
    path = write(tmp_path / "feedback.jsonl", rows[:16])
    learn(run, path, out=out, settings=FREE)
    with open(path, "a", encoding="utf-8") as file:
        file.write('{"text": "the plot was cold", "lab')
    assert len(read_feedback(path, load(run).schema, "run").rows) == 16
    with open(out / "events.jsonl", "a", encoding="utf-8") as file:
        file.write('{"event": "update", "point": 9')
    assert learn(run, write(path, rows), out=out).point == 3
    assert [event.values["point"] for event in learner_at(run, out).folder.events()] == [1, 2, 3]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"text": "a", "label": "splendid"}], "'splendid', which is none of the run's classes"),
        ([{"text": ["a", "b"], "label": "good"}], "must hold one text"),
        ([{"text": "a", "label": ["good"]}], "a list of labels"),
        ([{"text": "a", "label": None}], "no row with a text and a label"),
        ([{"text": "a", "label": "good", "model": "other"}], "no row with a text and a label on run (it is on other)"),
        ([{"text": "a", "label": "good"}, {"words": "b"}], "feedback.jsonl:2 is no line of feedback"),
        ([], "feedback.jsonl"),
    ],
)
def test_feedback_that_cannot_be_learned_is_refused_and_leaves_nothing(
    run: Run, tmp_path: Path, rows: list[dict[str, Any]], said: str
) -> None:
    path = write(tmp_path / "feedback.jsonl", rows)
    with pytest.raises(UsageError, match=re.escape(said)):
        learn(run, path, out=tmp_path / "learner")
    assert not (tmp_path / "learner").exists()


def test_another_beginning_or_other_settings_are_refused(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "learner"
    path = write(tmp_path / "feedback.jsonl", lines(16, 9))
    learn(run, path, out=out, settings=FREE)
    with pytest.raises(UsageError, match="does not begin with them"):
        learn(run, write(path, lines(24, 10)), out=out)
    with pytest.raises(UsageError, match="begun with max_loss = 1.0"):
        learn(run, path, out=out, settings={"max_loss": 0.5})
    with pytest.raises(UsageError, match="no point 5"):
        learn(run, back=5, out=out)
    with pytest.raises(UsageError, match="nothing to do"):
        learn(run, out=out)
    with pytest.raises(UsageError, match="learning rate"):
        LearnSettings(learning_rate=2.0)
    with pytest.raises(UsageError, match="no learner's folder"):
        learn(run, path, out=run.path.parent)


def test_what_is_said_of_other_models_is_passed_over(run: Run, tmp_path: Path) -> None:
    mine, others = lines(16, 13, model="run"), [{"text": "a", "label": "purple", "model": "other"} for _ in range(16)]
    mixed = [row for pair in zip(mine, others, strict=True) for row in pair]
    one = learn(run, write(tmp_path / "mixed.jsonl", mixed), out=tmp_path / "mixed", settings=FREE)
    two = learn(run, write(tmp_path / "mine.jsonl", mine), out=tmp_path / "mine", settings=FREE)
    assert one.rows == two.rows == 16
    assert same(weights(learner_at(run, tmp_path / "mixed")), weights(learner_at(run, tmp_path / "mine")))


def test_an_update_that_fails_leaves_the_network_as_it_was(run: Run, tmp_path: Path, monkeypatch: Any) -> None:
    path = write(tmp_path / "feedback.jsonl", lines(8, 14))
    learner = learner_at(run, tmp_path / "learner", FREE)

    def full(*given: Any) -> None:
        raise FailedError("no space is left")

    monkeypatch.setattr(learner.folder, "write_point", full)
    with pytest.raises(FailedError, match="no space"):
        learner.learn(read_feedback(path, load(run).schema, "run").rows, Prequential(learner.task))
    assert same(weights(learner), weights_frozen(learner)) and learner.point == learner.rows_read == 0


def test_scores_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    path.write_text('{"text": "a", "label": 1.5}\n{"text": "b", "label": NaN}\n', "utf-8")
    with pytest.raises(UsageError, match="feedback.jsonl:2 has the label nan"):
        read_feedback(path, Schema(("text",), "label", "score", ()), "run")


def test_a_served_learner_learns_what_the_file_gains(run: Run, tmp_path: Path) -> None:
    rows, path = lines(40, 12), tmp_path / "feedback.jsonl"
    live = LiveLearner(run.path, tmp_path / "live", path, FREE)
    assert not live.catch_up()
    write(path, rows[:20])
    assert live.catch_up() and not live.catch_up() and not live.catch_up()
    assert live.told()["rows"] == 16 and live.told()["prequential"]["n"] == 16
    with pytest.raises(UsageError, match="another process"):
        LiveLearner(run.path, tmp_path / "live", path)
    live.close()
    whole = path.read_bytes()
    write(path, lines(20, 15))
    with pytest.raises(UsageError, match="does not begin with them"):
        LiveLearner(run.path, tmp_path / "live", path)
    path.write_bytes(whole + b'{"text": "the plot was co')
    write(path, rows)
    again = LiveLearner(run.path, tmp_path / "live", path)
    while again.catch_up():
        pass
    assert again.told()["rows"] == 40 and again.learner.updates == 5
    again.close()
    # As though the same file had been learned from at once.
    learn(run, path, out=tmp_path / "once", settings=FREE)
    assert same(weights(again.learner), weights(learner_at(run, tmp_path / "once")))
    assert again.predictor.logits(["the plot"]).shape == (1, 2)


def test_the_verb_tells_and_the_folder_explains_itself(run: Run, tmp_path: Path) -> None:
    path, out = write(tmp_path / "feedback.jsonl", lines(24, 11)), tmp_path / "learner"
    how = ("--update-rows", 8, "--max-loss", 1, "--learning-rate", 0.01)
    ended = attn("learn", run.path, path, "--out", out, *how)
    assert ended.code == 0, ended.err
    assert "the run as it was" in ended.out and "stands at point 3 of 3" in ended.out
    told = json.loads(attn("learn", run.path, "--out", out, "--back", 1, "--json").out)
    assert told["point"] == 1 and told["points"] == 3
    found = explain_learner(out)
    assert found is not None and found.kind == "learner" and "point 1 of 3" in " ".join(found.sentences)
    assert attn("info", out).code == 0
    assert "--out" in attn("learn", run.path, path, "--out", run.path).fault
    assert explain_learner(run.path) is None
