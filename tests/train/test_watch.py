"""The attention is watched while training: its numbers, its alarms, and a report that draws them."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

import attnkit
from attnkit.page.watched import watched_section
from attnkit.train.watch import _line, alarms, watched
from tests.verbs.calling import review_csv

SMALL = {"embedding_width": 8, "width": 8, "epochs": 2, "batch_rows": 32, "encoder": "transformer", "heads": 2}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> attnkit.Run:
    """A transformer trained for two epochs."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "reviews.csv").write_text(review_csv(), encoding="utf-8")
    return attnkit.train(folder / "reviews.csv", out=folder / "run", **SMALL)


def line(**others: Any) -> dict[str, Any]:
    quiet = {"entropy_share": [0.5, 0.6], "span": [4.0, 5.0], "sink": [0.1, 0.2], "largest_logit": [3.0, 4.0]}
    return {"layer": "encoder.layers.0.attention", "kind": "self", "keys": 12, **quiet, **others}


def test_each_evaluation_holds_what_the_capture_says(run: attnkit.Run) -> None:
    history = run.metrics["history"]
    assert len(history) == 2
    for evaluation in history:
        assert [one["layer"] for one in evaluation["attention"]] == ["encoder.layers.0.attention", "summary.pooling"]
        for one in evaluation["attention"]:
            assert all(0.0 <= share <= 1.0 for share in one["entropy_share"])
    predictor = attnkit.load(run.path)
    items = predictor.encode(["the film was lovely", "the plot was awful and dark"])
    seen = watched(predictor.network, predictor.preprocessing, items)
    with attnkit.capture(predictor.network) as whole:
        predictor.network(*predictor.preprocessing.collate(items))
    keep = whole.layers[0].query_keep
    assert keep is not None
    for head in range(2):
        counted = whole.layers[0].statistics["sink"][:, head][keep]
        assert seen[0]["sink"][head] == pytest.approx(float(counted.mean()), abs=1e-6)
        assert seen[0]["largest_logit"][head] == pytest.approx(
            float(whole.layers[0].statistics["largest_logit"][:, head][keep].max())
        )


def test_a_score_of_padding_is_none_of_the_largest() -> None:
    q = torch.ones(1, 1, 8, 4)
    keep = torch.arange(8)[None] < 3
    (layer,) = attnkit.capture_arrays(q, -q, q, where=attnkit.Where.of(8, 8, keep=keep), level="stats").layers
    assert _line(layer)["largest_logit"] == pytest.approx([-2.0])


def test_the_report_draws_it(run: attnkit.Run) -> None:
    report = (run.path / "report.html").read_text("utf-8")
    assert "Attention while training" in report and "encoder.layers.0.attention" in report


def test_nothing_is_watched_where_nothing_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(review_csv(), encoding="utf-8")
    done = attnkit.train(tmp_path / "reviews.csv", out=tmp_path / "run", **{**SMALL, "epochs": 1, "watch_rows": 0})
    assert all("attention" not in one for one in done.metrics["history"])
    assert "Attention while training" not in (done.path / "report.html").read_text("utf-8")


def test_a_quiet_model_alarms_nobody() -> None:
    assert alarms([line(), line(kind="pooling")]) == []


@pytest.mark.parametrize(
    ("others", "what", "where"),
    [
        ({"entropy_share": [0.5, 0.004]}, "entropy collapse", "head 1: 0.4% of the largest entropy"),
        ({"sink": [0.97, 0.2]}, "sink", "head 0: 97% of the weight"),
        ({"largest_logit": [3.0, 140.0]}, "logit blow-up", "head 1: a score of 140"),
    ],
)
def test_each_alarm_names_its_head(others: dict[str, Any], what: str, where: str) -> None:
    ((found, place),) = alarms([line(**others)])
    assert found == what and where in place


def test_a_pooling_may_look_at_one_word_and_short_texts_have_no_sinks() -> None:
    assert alarms([line(kind="pooling", entropy_share=[0.001, 0.5])]) == []
    assert alarms([line(keys=4, sink=[0.99, 0.99])]) == []
    assert alarms([line(entropy_share=None, sink=None, largest_logit=None)]) == []


def test_the_report_tells_alarms_once_and_escapes_them() -> None:
    bad = line(sink=[0.99, 0.1], layer="<b>layer</b>")
    evaluation = {"step": 10, "attention": [bad], "alarms": alarms([bad])}
    later = {**copy.deepcopy(evaluation), "step": 20}
    page = watched_section([evaluation, later])
    assert page.count("<td>sink</td>") == 1 and '<td class="n">20</td>' in page
    assert "<b>layer</b>" not in page and "&lt;b&gt;layer" in page
    assert "No head gave reason for alarm" in watched_section([{"step": 1, "attention": [line()], "alarms": []}])
