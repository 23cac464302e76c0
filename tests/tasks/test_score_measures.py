"""Measures of graded scores, against plain Python and against copies of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.errors import UsageError
from attnkit.task.metrics import score_measures
from attnkit.task.metrics.scores import ScoreResampler
from tests.tasks import plain

FIGURES = {"pearson": plain.pearson, "spearman": plain.spearman, "mae": plain.mae, "rmse": plain.rmse, "r2": plain.r2}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n = draw(st.integers(1, 12))
    # a grid of few values, so that ties and constant sides are common
    sides = [draw(st.lists(st.integers(-3, 3), min_size=n, max_size=n)) for _ in range(2)]
    return np.array(sides[0]) / 2 + 10, np.array(sides[1]) / 2 + 10


@given(pairs())
def test_every_figure_is_the_one_plain_python_gives(rows: tuple[np.ndarray, np.ndarray]) -> None:
    truth, guess = rows
    measures = score_measures(truth, guess, resamples=3)
    expected = {name: figure(truth.tolist(), guess.tolist()) for name, figure in FIGURES.items()}
    assert {name: measure.value for name, measure in measures.items()} == pytest.approx(expected, abs=1e-9)
    for name, measure in measures.items():
        assert measure.name == name
        assert measure.n == len(truth)
        assert measure.low <= measure.value <= measure.high
        assert np.isfinite([measure.low, measure.high]).all()


@given(pairs(), st.integers(0, 1000))
def test_a_resample_by_counts_is_a_resample_by_copies(rows: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    truth, guess = rows
    drawn = np.random.default_rng(seed).integers(0, len(truth), size=(6, len(truth)))
    counts = np.stack([np.bincount(row, minlength=len(truth)) for row in drawn]).astype(float)
    found = ScoreResampler(truth, guess).figures(counts)
    for at, row in enumerate(drawn):
        x, y = truth[row].tolist(), guess[row].tolist()
        for name, figure in FIGURES.items():
            undefined = {"r2": len(set(x)) == 1, "mae": False, "rmse": False}
            if undefined.get(name, len(set(x)) == 1 or len(set(y)) == 1):
                assert np.isnan(found[name][at]), name
            else:
                assert found[name][at] == pytest.approx(figure(x, y), abs=1e-8), name


def test_scores_far_from_zero_keep_their_correlation() -> None:
    random = np.random.default_rng(0)
    truth = random.normal(size=200)
    near, far = score_measures(truth, truth + 1), score_measures(truth + 1e6, truth + 1e6 + 1)
    assert far["pearson"].low == pytest.approx(near["pearson"].low, abs=1e-6)
    assert near["pearson"].low == pytest.approx(1.0)
    assert far["r2"].low == pytest.approx(near["r2"].low, abs=1e-6)


def test_a_constant_prediction_has_no_correlation_and_finite_intervals() -> None:
    truth = np.array([1.0, 2.0, 4.0])
    measures = score_measures(truth, np.full(3, truth.mean()))
    for name in ("pearson", "spearman"):
        assert (measures[name].value, measures[name].low, measures[name].high) == (0.0, 0.0, 0.0)
    assert measures["r2"].value == pytest.approx(0.0)


def test_protocols_say_the_unit_and_how_many_resamples() -> None:
    measures = score_measures(np.array([1.0, 2.0]), np.array([1.0, 3.0]), resamples=9)
    assert measures["mae"].protocol == (
        "mean absolute error in the units of the label; 95 % percentile bootstrap of rows, 9 resamples"
    )


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(UsageError, match="no row to measure"):
        score_measures(np.array([]), np.array([]))
