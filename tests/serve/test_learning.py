"""Learning while serving: answers follow the feedback, and trouble with learning ends no answering."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnkit.adapt.live import LiveLearner
from attnkit.run.directory import Run
from attnkit.serve.feedback import Feedback
from attnkit.serve.models import open_models
from attnkit.train import load, train
from tests.serve.serving import running
from tests.verbs.calling import attn, review_csv

SMALL: dict[str, Any] = {"embedding_width": 16, "width": 16, "epochs": 3, "wide_ngrams": 0, "encoder": "cnn"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("served")
    (folder / "reviews.csv").write_text(review_csv(), "utf-8")
    return train(folder / "reviews.csv", out=folder / "run", **SMALL)


def until(met: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not met():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_what_is_said_of_answers_is_learned_between_them(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    live = LiveLearner(run.path, tmp_path / "learner", path, {"update_rows": 8, "max_loss": 1.0})
    before = load(run).logits(["the plot"])
    with running(open_models([run.path], live=live), feedback=Feedback(path), live=live) as served:
        assert served.client.get("/model").json()["learning"]["point"] == 0
        for number in range(20):
            told = {"text": f"the plot was zzz {number}", "label": "good" if number % 2 else "bad"}
            assert served.client.post("/feedback", json=told).json() == {"noted": True}
            assert served.client.post("/predict", json={"text": "the plot"}).status_code == 200
        until(lambda: served.client.get("/model").json()["learning"]["rows"] == 16)
        assert served.client.get("/model").json()["learning"]["point"] == 2
        answer = served.client.post("/predict", json={"text": "the plot"}).json()
    after = live.learner.predictor.predict(["the plot"])[0]
    assert answer["probability"] == pytest.approx(after.probability)
    assert not bool((live.learner.predictor.logits(["the plot"]) == before).all())
    live.close()


def test_trouble_with_learning_is_told_and_answers_go_on(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "notes.log"
    path.write_text('{"text": "fine", "label": "purple"}\n', "utf-8")
    live = LiveLearner(run.path, tmp_path / "learner", path)
    with running(open_models([run.path], live=live), feedback=Feedback(path), live=live) as served:
        until(lambda: "stopped" in served.client.get("/model").json()["learning"])
        assert "'purple', which is none" in served.client.get("/model").json()["learning"]["stopped"]
        assert served.client.post("/predict", json={"text": "the plot"}).status_code == 200
        assert served.client.post("/feedback", json={"text": "fine", "label": "good"}).json() == {"noted": True}
    live.close()


def test_a_learner_needs_the_file_and_its_run(run: Run, tmp_path: Path) -> None:
    assert "--learn" in attn("serve", run.path, "--learner", tmp_path / "learner", "--port", 0).fault
    both = ("--learn", tmp_path / "f.jsonl", "--learner", tmp_path / "learner", "--task", "reviews")
    assert "leave one out" in attn("serve", run.path, *both, "--port", 0).fault
    other = attn("serve", run.path, "--learn", tmp_path / "f.jsonl", "--learner", run.path, "--port", 0)
    assert "no learner's folder" in other.fault
