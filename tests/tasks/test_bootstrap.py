"""The resampler against copies of rows, and its intervals against the truth they should hold."""

import numpy as np
import pytest

from attnkit.errors import UsageError
from attnkit.task.metrics import Measure
from attnkit.task.metrics.bootstrap import (
    affordable_resamples,
    cell_counts,
    generator_or_default,
    interval,
    protocol,
    row_counts,
)
from attnkit.task.metrics.classes import class_measures
from attnkit.task.metrics.scores import score_measures


def test_row_counts_are_draws_with_replacement_in_chunks_of_bounded_size(monkeypatch) -> None:
    from attnkit.task.metrics import bootstrap

    monkeypatch.setattr(bootstrap, "CHUNK", 35)
    chunks = list(row_counts(10, 100, np.random.default_rng(3)))
    assert [len(chunk) for chunk in chunks] == [3] * 33 + [1]
    counts = np.concatenate(chunks)
    assert counts.shape == (100, 10)
    assert (counts.sum(1) == 10).all()
    assert (counts == counts.round()).all() and counts.min() == 0
    # each of n rows is missed with probability (1 - 1/n)^n = 0.35 and drawn once on average
    assert (counts == 0).mean() == pytest.approx(0.9**10, abs=0.04)
    assert counts.mean(0) == pytest.approx(np.ones(10), abs=0.35)


def test_row_counts_hold_one_row_at_least_even_where_rows_exceed_a_chunk(monkeypatch) -> None:
    from attnkit.task.metrics import bootstrap

    monkeypatch.setattr(bootstrap, "CHUNK", 5)
    assert [chunk.shape for chunk in row_counts(10, 3, np.random.default_rng(0))] == [(1, 10)] * 3


def test_cell_counts_are_multinomial() -> None:
    counts = np.array([0, 30, 50, 0, 20])
    drawn = cell_counts(counts, 4000, np.random.default_rng(1))
    assert drawn.shape == (4000, 5)
    assert (drawn.sum(1) == 100).all()
    assert (drawn[:, [0, 3]] == 0).all()
    assert drawn.mean(0) == pytest.approx(counts, abs=0.3)
    assert drawn[:, 1].std() == pytest.approx((100 * 0.3 * 0.7) ** 0.5, rel=0.05)
    covariance = np.cov(drawn[:, 1], drawn[:, 2])[0, 1]
    assert covariance == pytest.approx(-100 * 0.3 * 0.5, rel=0.1)


def test_interval_takes_the_percentiles_leaves_out_the_undefined_and_holds_the_value() -> None:
    resampled = np.concatenate([np.arange(1001.0), [np.nan] * 50])
    assert interval(500.0, resampled) == pytest.approx((25.0, 975.0))
    assert interval(3.0, resampled) == pytest.approx((3.0, 975.0))
    assert interval(999.0, resampled) == pytest.approx((25.0, 999.0))
    assert interval(0.7, np.array([np.nan])) == (0.7, 0.7)


def test_resamples_shrink_with_the_work_and_never_below_200() -> None:
    assert affordable_resamples(1000, 25_000, 2) == 1000
    assert affordable_resamples(1000, 25_000, 20) == 400
    assert affordable_resamples(1000, 10_000_000, 100) == 200
    assert affordable_resamples(50, 10, 1) == 50
    assert affordable_resamples(1000, 400_000) == 500


def test_the_same_rows_give_the_same_interval_and_an_explicit_generator_another() -> None:
    random = np.random.default_rng(5)
    truth, guess = random.normal(size=(2, 60))
    once, again = score_measures(truth, guess), score_measures(truth, guess)
    assert once == again
    assert once["mae"] == score_measures(truth, guess, np.random.default_rng(0))["mae"]
    assert once["mae"].low != score_measures(truth, guess, np.random.default_rng(1))["mae"].low
    given = np.random.default_rng(7)
    assert generator_or_default(given) is given


def coverage(truth: float, intervals: list[tuple[float, float]]) -> float:
    return float(np.mean([low <= truth <= high for low, high in intervals]))


def test_95_percent_intervals_of_accuracy_and_macro_f1_hold_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(11)
    # two balanced classes, each predicted right with probability 0.8: accuracy = macro F1 = 0.8 in the limit
    accuracy, f1 = [], []
    for _ in range(300):
        truth = random.integers(0, 2, 150)
        guess = np.where(random.random(150) < 0.8, truth, 1 - truth)
        measures = class_measures(truth, np.eye(2)[guess], ("a", "b"), random, resamples=200)
        accuracy.append((measures["accuracy"].low, measures["accuracy"].high))
        f1.append((measures["f1_macro"].low, measures["f1_macro"].high))
    assert 0.91 <= coverage(0.8, accuracy) <= 0.98
    assert 0.91 <= coverage(0.8, f1) <= 0.98


def test_95_percent_intervals_of_score_measures_hold_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(12)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(300):
        truth = random.normal(size=150)
        guess = truth + random.normal(size=150)
        for name, measure in score_measures(truth, guess, random, resamples=200).items():
            found.setdefault(name, []).append((measure.low, measure.high))
    expected = {
        "pearson": 0.5**0.5,
        "spearman": 6 / np.pi * np.arcsin(0.5**0.5 / 2),
        "mae": (2 / np.pi) ** 0.5,
        "rmse": 1.0,
        "r2": 0.0,
    }
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert 0.90 <= coverage(value, found[name]) <= 0.98, name


def test_a_measure_survives_plain_data_and_prints_itself() -> None:
    measure = Measure("accuracy", 0.91223, 0.9, 0.92, 25_000, protocol("share of rows", 1000))
    assert Measure.from_dict(measure.to_dict()) == measure
    assert str(measure) == "accuracy 0.9122 [0.9000, 0.9200], n = 25000"
    assert measure.protocol == "share of rows; 95 % percentile bootstrap of rows, 1000 resamples"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"value": float("nan")}, "field value .* finite number, not nan"),
        ({"low": "0.9"}, "field low"),
        ({"n": True}, "field n"),
        ({"unit": "percent"}, "has the fields name, value, low, high, n, protocol"),
    ],
)
def test_a_measure_that_is_none_is_refused(change: dict[str, object], words: str) -> None:
    plain = Measure("accuracy", 0.9, 0.8, 1.0, 10, "").to_dict() | change
    with pytest.raises(UsageError, match=words):
        Measure.from_dict(plain)


def test_a_measure_that_lacks_a_field_is_refused() -> None:
    with pytest.raises(UsageError, match="has name"):
        Measure.from_dict({"name": "accuracy"})
