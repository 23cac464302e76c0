"""Small numbers where a wrong constant would hide."""

import numpy as np
import torch

from attnkit.data.examples import Example
from attnkit.task import MultiLabel, Score
from attnkit.task.metrics.counts import mean_of_defined, precision_recall_f1


def example(label: float) -> Example:
    return Example("text", None, label, "rows.csv", 2)


def test_scores_within_a_unit_keep_their_own_deviation() -> None:
    task = Score().fitted([example(0.2), example(0.4)])
    assert abs(task.mean - 0.3) < 1e-12
    assert abs(task.deviation - 0.1) < 1e-12
    assert Score().fitted([example(0.2), example(0.2)]).deviation == 1.0


def test_label_weights_are_the_odds_against_the_label() -> None:
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]])
    weights = MultiLabel(("a", "b", "c")).class_weights(targets)
    torch.testing.assert_close(weights, torch.tensor([3.0, 1.0, 1 / 3]))


def test_undefined_figures_are_left_out_of_a_mean() -> None:
    nan = float("nan")
    assert mean_of_defined(np.array([[0.5, nan, 1.0], [nan, nan, 0.25]])).tolist() == [0.75, 0.25]
    assert np.isnan(mean_of_defined(np.array([nan, nan])))


def test_counts_of_one() -> None:
    figures = precision_recall_f1(np.array([1.0, 0.0]), np.array([1.0, 1.0]), np.array([2.0, 0.0]))
    assert figures["precision"].tolist() == [1.0, 0.0]
    assert figures["recall"].tolist() == [0.5, 0.0]
    assert figures["f1"].tolist() == [2 / 3, 0.0]
