"""Measures of one class of several, against plain Python and against copies of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.errors import UsageError
from attnkit.task.metrics import Confusion, class_measures
from attnkit.task.metrics.calibration import CalibrationBins
from attnkit.task.metrics.ranking import RankedClass
from tests.tasks import plain

CLASSES = ("a", "b", "c", "d")
POINTS_ONLY = 3


@st.composite
def scored_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 12))
    truth = np.array(draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))
    # few different values, so that ties are common
    parts = np.array(draw(st.lists(st.lists(st.integers(1, 4), min_size=4, max_size=4), min_size=n, max_size=n)))
    return truth, parts / parts.sum(1, keepdims=True)


@given(scored_rows())
def test_every_figure_is_the_one_plain_python_gives(rows: tuple[np.ndarray, np.ndarray]) -> None:
    truth, probabilities = rows
    measures = class_measures(truth, probabilities, CLASSES, resamples=POINTS_ONLY)
    guess = [max(range(4), key=list(row).__getitem__) for row in probabilities]
    right = [g == t for g, t in zip(guess, truth, strict=True)]
    expected = {"accuracy": plain.mean(right)}
    each = {
        c: plain.precision_recall_f1([t == c for t in truth], [g == c for g in guess])
        for c in range(4)
        if c in guess or c in truth
    }
    for at, kind in enumerate(("precision", "recall", "f1")):
        expected[f"{kind}_macro"] = plain.mean([figures[at] for figures in each.values()])
        expected |= {f"{kind}:{CLASSES[c]}": figures[at] for c, figures in each.items()}
    ranked = {c: plain.average_precision([t == c for t in truth], list(probabilities[:, c])) for c in set(truth)}
    expected |= {f"average_precision:{CLASSES[c]}": figure for c, figure in ranked.items()}
    expected["average_precision"] = plain.mean(list(ranked.values()))
    expected["calibration_error"] = plain.calibration_error(list(probabilities.max(1)), right)
    assert {name: measure.value for name, measure in measures.items()} == pytest.approx(expected)
    for name, measure in measures.items():
        assert measure.name == name
        assert measure.low <= measure.value <= measure.high
        own = name.partition(":")[2]
        assert measure.n == (sum(CLASSES[t] == own for t in truth) if own else len(truth))


@given(scored_rows(), st.integers(0, 1000))
def test_a_resample_by_counts_is_a_resample_by_copies(rows: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    truth, probabilities = rows
    drawn = np.random.default_rng(seed).integers(0, len(truth), size=(5, len(truth)))
    counts = np.stack([np.bincount(row, minlength=len(truth)) for row in drawn]).astype(float)
    right, confidence = probabilities.argmax(1) == truth, probabilities.max(1)
    errors = CalibrationBins.of(confidence, right).error(counts)
    for row, error in zip(drawn, errors, strict=True):
        assert error == pytest.approx(plain.calibration_error(confidence[row], right[row]))
    for c in set(truth.tolist()):
        figures = RankedClass.of(truth == c, probabilities[:, c]).average_precision(counts)
        for row, figure in zip(drawn, figures, strict=True):
            if (truth[row] == c).any():
                assert figure == pytest.approx(plain.average_precision(truth[row] == c, list(probabilities[row, c])))
            else:
                assert np.isnan(figure)


def resampled_by_copies(truth: np.ndarray, probabilities: np.ndarray, resamples: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for _ in range(resamples):
        rows = random.integers(0, len(truth), len(truth))
        for name, measure in class_measures(truth[rows], probabilities[rows], CLASSES, resamples=1).items():
            found.setdefault(name, []).append(measure.value)
    return {name: np.array(values) for name, values in found.items()}


def test_intervals_are_those_of_measuring_copies_of_rows() -> None:
    random = np.random.default_rng(2)
    truth = random.choice(4, size=120, p=[0.4, 0.3, 0.2, 0.1])
    logits = random.normal(size=(120, 4)) + 2 * np.eye(4)[truth]
    probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    copies = resampled_by_copies(truth, probabilities, 400)
    measures = class_measures(truth, probabilities, CLASSES, resamples=2000)
    assert measures.keys() == copies.keys()
    for name, measure in measures.items():
        low, high = np.percentile(copies[name], [2.5, 97.5])
        width = high - low
        assert min(low, measure.value) == pytest.approx(measure.low, abs=0.2 * width), name
        assert max(high, measure.value) == pytest.approx(measure.high, abs=0.2 * width), name


def test_a_class_that_nobody_saw_counts_nowhere() -> None:
    truth, probabilities = np.array([0, 1, 1]), np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.6, 0.4, 0.0]])
    measures = class_measures(truth, probabilities, ("no", "yes", "never"))
    assert not [name for name in measures if "never" in name]
    assert measures["recall_macro"].value == pytest.approx((1 + 0.5) / 2)


def test_a_class_predicted_but_never_true_has_figures_of_zero_and_no_average_precision() -> None:
    measures = class_measures(np.array([0, 0]), np.array([[0.9, 0.1], [0.3, 0.7]]), ("a", "b"))
    assert [measures[f"{kind}:b"].value for kind in ("precision", "recall", "f1")] == [0.0, 0.0, 0.0]
    assert measures["f1:b"].n == 0
    assert "average_precision:b" not in measures
    assert measures["average_precision"].value == measures["average_precision:a"].value == 1.0


def test_protocols_say_how_many_resamples() -> None:
    measures = class_measures(np.array([0, 1]), np.eye(2), ("a", "b"), resamples=77)
    assert {measure.protocol.rpartition("; ")[2] for measure in measures.values()} == {
        "95 % percentile bootstrap of rows, 77 resamples"
    }


def test_confusion_counts_rows_by_true_and_columns_by_predicted_class_with_binomial_limits() -> None:
    truth, guess = np.array([0] * 60 + [1] * 40), np.array([0] * 50 + [1] * 10 + [1] * 40)
    table = Confusion.of(truth, guess, ("a", "b", "c"))
    assert table.counts.tolist() == [[50, 10, 0], [0, 40, 0], [0, 0, 0]]
    drawn = np.random.default_rng(0).binomial(100, table.counts / 100, size=(20_000, 3, 3))
    low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
    assert np.abs(table.low - low).max() <= 1 and np.abs(table.high - high).max() <= 1
    assert table.low[2, 2] == table.high[2, 2] == 0
    plain_data = table.to_dict()
    assert plain_data["counts"] == [[50, 10, 0], [0, 40, 0], [0, 0, 0]]
    assert (plain_data["n"], plain_data["classes"]) == (100, ["a", "b", "c"])
    assert plain_data["low"] == table.low.tolist() and plain_data["high"] == table.high.tolist()


def test_nothing_to_measure_is_said() -> None:
    nothing = np.array([], dtype=np.int64)
    with pytest.raises(UsageError, match="no row to measure"):
        class_measures(nothing, np.zeros((0, 2)), ("a", "b"))
    with pytest.raises(UsageError, match="no row to count"):
        Confusion.of(nothing, nothing, ("a", "b"))
