"""Measures of label sets, against plain Python and against copies of rows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.errors import UsageError
from attnkit.task.metrics import label_set_measures
from attnkit.task.metrics.label_sets import label_set_precision
from tests.tasks import plain

CLASSES = ("x", "y", "z")


def expected_figures(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    guess = probabilities >= 0.5
    n, width = truth.shape
    wrong = sum(bool(truth[i, c]) != bool(guess[i, c]) for i in range(n) for c in range(width))
    exact = sum(all(truth[i] == guess[i]) for i in range(n))
    figures = {"hamming_loss": wrong / (n * width), "subset_accuracy": exact / n}
    flat = plain.precision_recall_f1(truth.ravel().tolist(), guess.ravel().tolist())
    present = [c for c in range(width) if truth[:, c].any() or guess[:, c].any()]
    each = {c: plain.precision_recall_f1(truth[:, c].tolist(), guess[:, c].tolist()) for c in present}
    for at, kind in enumerate(("precision", "recall", "f1")):
        figures[f"{kind}_micro"] = flat[at]
        figures[f"{kind}_macro"] = plain.mean([one[at] for one in each.values()]) if each else 0.0
        figures |= {f"{kind}:{CLASSES[c]}": one[at] for c, one in each.items()}
    ranked = {
        c: plain.average_precision(truth[:, c].tolist(), probabilities[:, c].tolist())
        for c in range(width)
        if truth[:, c].any()
    }
    figures |= {f"average_precision:{CLASSES[c]}": one for c, one in ranked.items()}
    return figures | {"mean_average_precision": plain.mean(list(ranked.values())) if ranked else 0.0}


@st.composite
def label_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    n, width = draw(st.integers(1, 10)), draw(st.integers(1, 3))
    truth = draw(st.lists(st.lists(st.booleans(), min_size=width, max_size=width), min_size=n, max_size=n))
    tenths = draw(st.lists(st.lists(st.integers(3, 7), min_size=width, max_size=width), min_size=n, max_size=n))
    return np.array(truth), np.array(tenths) / 10


@given(label_rows())
def test_every_figure_is_the_one_plain_python_gives(rows: tuple[np.ndarray, np.ndarray]) -> None:
    truth, probabilities = rows
    measures = label_set_measures(truth, probabilities, CLASSES[: truth.shape[1]], resamples=3)
    expected = expected_figures(truth, probabilities)
    assert {name: measure.value for name, measure in measures.items()} == pytest.approx(expected)
    assert label_set_precision(truth, probabilities) == pytest.approx(expected["mean_average_precision"])
    for name, measure in measures.items():
        assert measure.name == name
        assert measure.low <= measure.value <= measure.high
        own = name.partition(":")[2]
        assert measure.n == (truth[:, CLASSES.index(own)].sum() if own else len(truth))


def test_intervals_are_those_of_measuring_copies_of_rows() -> None:
    random = np.random.default_rng(3)
    truth = random.random((150, 3)) < [0.5, 0.3, 0.2]
    probabilities = np.clip(0.4 * truth + 0.7 * random.random((150, 3)), 0, 1)
    copies: dict[str, list[float]] = {}
    for _ in range(400):
        rows = random.integers(0, 150, 150)
        for name, figure in expected_figures(truth[rows], probabilities[rows]).items():
            copies.setdefault(name, []).append(figure)
    measures = label_set_measures(truth, probabilities, CLASSES, resamples=2000)
    assert measures.keys() == copies.keys()
    for name, measure in measures.items():
        low, high = np.percentile(copies[name], [2.5, 97.5])
        assert (measure.low, measure.high) == pytest.approx((low, high), abs=0.2 * (high - low)), name
        assert measure.protocol.endswith("bootstrap of rows, 2000 resamples")


def test_a_probability_of_one_half_is_a_yes() -> None:
    measures = label_set_measures(np.array([[True, False]]), np.array([[0.5, 0.49]]), ("x", "y"))
    assert measures["subset_accuracy"].value == 1.0


def test_no_label_anywhere_gives_figures_of_zero_and_a_perfect_match() -> None:
    measures = label_set_measures(np.zeros((4, 2), dtype=bool), np.full((4, 2), 0.1), ("x", "y"))
    assert measures["subset_accuracy"].value == 1.0
    assert measures["f1_micro"].value == measures["f1_macro"].value == measures["mean_average_precision"].value == 0.0
    assert all(np.isfinite([measure.low, measure.high]).all() for measure in measures.values())


def test_nothing_to_measure_is_said() -> None:
    with pytest.raises(UsageError, match="no row to measure"):
        label_set_measures(np.zeros((0, 2), dtype=bool), np.zeros((0, 2)), ("x", "y"))
