"""The worst mistakes: the surest wrong rows first, whatever the task and the model."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.data.examples import Example
from attnkit.task.base import Prediction
from attnkit.train import load, train
from attnkit.train.evaluation import evaluate
from attnkit.train.mistakes import MISSED, NOT_TRUE, confusions, count_wrong, mistakes, worst_mistakes, wrong_by
from tests.train.small import SMALL, sentences, small_data, write_csv


def said(label: Any, **chances: float) -> Prediction:
    single = isinstance(label, str)
    return Prediction(label, chances[label] if single else None, chances)


def row(label: Any, text: str = "a text", line: int = 1) -> Example:
    return Example(text, None, label, "data.csv", line)


def test_how_wrong_a_prediction_is() -> None:
    assert wrong_by("a", said("a", a=0.9, b=0.1)) == 0
    assert wrong_by("b", said("a", a=0.9, b=0.1)) == 0.9
    several = Prediction(("a", "b"), None, {"a": 0.8, "b": 0.6, "c": 0.45, "d": 0.1})
    assert wrong_by(("a", "b"), several) == 0
    assert wrong_by(("a", "c"), several) == pytest.approx(0.6)
    assert wrong_by(("a", "b", "d"), several) == pytest.approx(0.9)
    assert wrong_by(2.0, Prediction(3.5, None, {})) == 1.5


def test_confusions_are_counted_by_pair_and_by_label() -> None:
    rows = [row("a"), row("a"), row("b"), row("c")]
    given = [said("b", a=0.1, b=0.9), said("b", a=0.1, b=0.9), said("b", b=1.0), said("a", a=1.0)]
    assert confusions(rows, given) == [("a", "b", 2), ("c", "a", 1)]
    assert count_wrong(rows, given) == 3
    several = [Prediction(("a",), None, {"a": 0.9, "b": 0.1}), Prediction(("a", "b"), None, {"a": 0.9, "b": 0.9})]
    assert confusions([row(("a", "b")), row(("a",))], several) == [(NOT_TRUE, "b", 1), ("b", MISSED, 1)]
    assert count_wrong([row(1.0)], [Prediction(1.0, None, {})]) is None


def test_the_surest_mistakes_stand_first_and_the_right_rows_nowhere(tmp_path: Path) -> None:
    run = train(small_data(tmp_path), out=tmp_path / "run", **SMALL)
    found = mistakes(run, tmp_path / "data.csv", count=1000)
    again = evaluate(run, tmp_path / "data.csv")
    wrong = {e.place for e, p in zip(again.examples, again.predictions, strict=True) if e.label != p.label}
    assert wrong and {one.place for one in found.worst} == wrong and found.wrong == len(wrong)
    assert [one.wrong_by for one in found.worst] == sorted((one.wrong_by for one in found.worst), reverse=True)
    texts = {example.place: example.text for example in again.examples}
    for one in found.worst:
        assert "".join(text for text, _ in one.pieces) == texts[one.place]
        weights = torch.tensor([weight for _, weight in one.pieces if weight is not None])
        assert weights.sum() == pytest.approx(1, abs=1e-5)
        assert one.truth != one.predicted and one.probability == one.wrong_by > 0.5 > (one.true_probability or 1)
    assert len(mistakes(run, tmp_path / "data.csv", count=2).worst) == min(2, len(wrong))
    assert json.loads(json.dumps(found.to_dict()))["rows"] == 80


MODELS = {
    "hierarchical": {"hierarchical": True, "encoder": "none"},
    "packed": {"encoder": "transformer", "batches": "packed", "heads": 2},
    "two queries": {"pooling_queries": 2},
}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_model_shows_where_it_looked(tmp_path: Path, name: str) -> None:
    run = train(small_data(tmp_path, 60), out=tmp_path / "run", **{**SMALL, "epochs": 1, **MODELS[name]})
    found = mistakes(run, tmp_path / "data.csv")
    assert found.worst and all(weight is not None for one in found.worst for text, weight in one.pieces if text.strip())
    page = (run.path / "report.html").read_text("utf-8")
    assert page.count('class="mistake"') == min(10, mistakes(run).wrong or 0)


def test_a_model_that_cannot_be_looked_into_still_has_its_mistakes(tmp_path: Path, monkeypatch: Any) -> None:
    run = train(small_data(tmp_path), out=tmp_path / "run", **{**SMALL, "epochs": 1})
    predictor = load(run)

    def refuse(text: object) -> None:
        raise ValueError("no map")

    monkeypatch.setattr(predictor, "attention", refuse)
    wrong = Prediction("pos", 0.7, {"neg": 0.3, "pos": 0.7})
    (one,) = worst_mistakes(predictor, [row("neg", "some words")], [wrong], 5)
    assert one.pieces == (("some words", None),) and one.unshaded == "no map"


def test_scores_and_several_labels_have_their_mistakes(tmp_path: Path) -> None:
    scores = [(text, str(number % 7 + 0.5)) for number, (text, _) in enumerate(sentences(60))]
    run = train(write_csv(tmp_path / "scores.csv", scores), out=tmp_path / "scores", kind="score", **SMALL)
    found = mistakes(run)
    assert found.wrong is None and found.confused == [] and found.worst[0].wrong_by >= found.worst[-1].wrong_by > 0
    page = (run.path / "report.html").read_text("utf-8")
    assert "off by" in page and "Calibration" not in page
    several = [(text, f"{label}|odd" if n % 3 else label) for n, (text, label) in enumerate(sentences(60))]
    run = train(write_csv(tmp_path / "several.csv", several), out=tmp_path / "several", kind="multi", **SMALL)
    assert mistakes(run).confused
    assert run.metrics["calibration"]["rows"] == "labels of test rows"
    assert sum(one["n"] for one in run.metrics["calibration"]["bins"]) == 3 * run.metrics["sizes"]["test"]
