"""Paired differences: what a resample holds, what a tie is, and corrections against plain Python."""

import numpy as np
import pytest
import torch

from attnkit.compare.paired import Resampled, differences, holm, over_seeds
from attnkit.data.examples import Example
from attnkit.task.multi_label import MultiLabel
from attnkit.task.resampled import resampled
from attnkit.task.score import Score
from attnkit.task.single_label import SingleLabel


def rows(labels: list[object]) -> list[Example]:
    return [Example(f"text {n}", None, label, "data.csv", n) for n, label in enumerate(labels, 1)]  # type: ignore[arg-type]


def test_holm_is_what_the_paper_says() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == [] and holm([0.2]) == [0.2]
    assert holm([0.02, 0.02, 0.001]) == pytest.approx([0.04, 0.04, 0.003])


def test_accuracy_is_resampled_row_by_row_for_all_cells_alike() -> None:
    draw = np.random.default_rng(3)
    truth = draw.integers(0, 3, 200)
    same = torch.tensor(draw.normal(size=(200, 3)))
    other = torch.tensor(draw.normal(size=(200, 3)))
    task = SingleLabel(("a", "b", "c"))
    point, drawn = resampled(
        task, rows([task.classes[t] for t in truth]), [same, other, same], np.random.default_rng(0)
    )
    right = [(one.argmax(1).numpy() == truth) for one in (same, other)]
    assert point == pytest.approx([right[0].mean(), right[1].mean(), right[0].mean()])
    assert np.array_equal(drawn[:, 0], drawn[:, 2]) and not np.array_equal(drawn[:, 0], drawn[:, 1])
    difference = right[0].astype(float) - right[1]
    assert (drawn[:, 0] - drawn[:, 1]).std() == pytest.approx(difference.std() / 200**0.5, rel=0.06)


def test_scores_and_sets_of_labels_have_the_figure_of_their_task() -> None:
    labels = [1.0, 2.0, 4.0, 8.0]
    guesses = torch.tensor([[1.0], [3.0], [4.0], [6.0]])
    point, drawn = resampled(Score(), rows(labels), [guesses], np.random.default_rng(0))
    assert point[0] == pytest.approx((5 / 4) ** 0.5) and drawn.min() == 0 and drawn.max() == pytest.approx(2)
    task = MultiLabel(("a", "b"))
    sets = rows([("a",), ("a", "b"), (), ("b",)])
    logits = torch.tensor([[2.0, -1.0], [1.0, 1.0], [3.0, -2.0], [-1.0, 0.5]])
    point, drawn = resampled(task, sets, [logits], np.random.default_rng(0))
    assert point[0] == pytest.approx(task.selection_value(logits, task.targets(sets))) and np.isfinite(drawn).all()


def test_the_mean_over_seeds_varies_as_much_as_that_of_fresh_seeds() -> None:
    draw = np.random.default_rng(0)
    wide = []
    for _ in range(400):
        figures = draw.normal(size=(1, 3))
        drawn = np.repeat(figures[None], 300, 0)
        wide.append(over_seeds(figures, drawn, draw).drawn_RA[:, 0].var())
    assert np.mean(wide) == pytest.approx(1 / 3, rel=0.1)


def test_one_seed_has_the_spread_of_its_rows_alone() -> None:
    drawn = np.arange(12.0).reshape(6, 2, 1)
    found = over_seeds(np.array([[1.0], [2.0]]), drawn, np.random.default_rng(0))
    assert np.array_equal(found.drawn_RA, drawn[:, :, 0]) and found.mean_A.tolist() == [1, 2]


def arms(*means: float, spread: float = 0.01) -> Resampled:
    draw = np.random.default_rng(1)
    return Resampled(np.array(means), np.array(means) + spread * draw.normal(size=(4000, len(means))))


def test_what_lies_far_apart_is_told_apart_and_what_does_not_is_a_tie() -> None:
    found = differences(arms(0.8, 0.9, 0.805), [(1, 0), (2, 0), (0, 1)], higher_is_better=True)
    assert [one.verdict for one in found.values()] == ["better", "tie", "worse"]
    assert found[1, 0].value == pytest.approx(0.1) and found[1, 0].low < 0.1 < found[1, 0].high
    assert found[2, 0].low < 0 < found[2, 0].high
    lower = differences(arms(0.8, 0.9), [(1, 0)], higher_is_better=False)
    assert lower[1, 0].verdict == "worse"


def test_a_difference_that_stands_alone_may_fall_among_many() -> None:
    means = (0.8, 0.8305, *[0.8] * 18)
    alone = differences(arms(*means), [(1, 0)], higher_is_better=True)
    among = differences(arms(*means), [(at, 0) for at in range(1, 20)], higher_is_better=True)
    assert alone[1, 0].p == among[1, 0].p and alone[1, 0].verdict == "better" and among[1, 0].verdict == "tie"


def test_equal_arms_are_a_tie() -> None:
    drawn = np.random.default_rng(0).normal(size=(100, 1))
    (found,) = differences(Resampled(np.array([0.5, 0.5]), np.hstack([drawn, drawn])), [(0, 1)], True).values()
    assert found.p == 1 and found.value == 0 and found.verdict == "tie"
