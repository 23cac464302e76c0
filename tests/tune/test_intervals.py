"""Intervals, ties and the corrected figure, against what can be worked out by hand or by brute force."""

from typing import Any

import numpy as np
import pytest
import torch

from attnkit.task.score import Score
from attnkit.task.single_label import SingleLabel
from attnkit.tune.intervals import compare
from attnkit.tune.leaderboard import honesty
from attnkit.tune.rows import Rows, comparable, in_units, load_rows, save_rows

TASK = SingleLabel(("no", "yes"))


def of_right(*trainings: list[int]) -> Rows:
    """Rows of class 0 that each training gets right (1) or wrong (0)."""
    right = torch.tensor(trainings)
    return Rows(torch.stack([right.double(), 1.0 - right], dim=2), torch.zeros(right.shape[1], dtype=torch.int64))


def coins(trials: int, rows: int, share: float = 0.7, seed: int = 0) -> list[Rows]:
    draw = np.random.default_rng(seed)
    return [of_right((draw.random(rows) < share).astype(int).tolist()) for _ in range(trials)]


def test_a_figure_is_the_mean_over_rows_and_trainings() -> None:
    rows = of_right([1, 1, 0, 0], [1, 1, 1, 0])
    assert rows.figure(TASK) == pytest.approx(5 / 8)
    assert rows.figure(TASK, np.array([0, 0, 3])) == pytest.approx(2 / 3)
    assert rows.right().tolist() == [1.0, 1.0, 0.5, 0.0]


def test_an_interval_has_the_width_that_the_binomial_has() -> None:
    held = compare(TASK, coins(1, 400), 0, True).each[0]
    expected = 1.96 * np.sqrt(held.value * (1 - held.value) / 400)
    assert (held.high - held.low) / 2 == pytest.approx(expected, rel=0.12)
    assert held.low <= held.value <= held.high


def test_pairs_see_what_single_intervals_hide() -> None:
    draw = np.random.default_rng(1)
    right = (draw.random(300) < 0.7).astype(int)
    worse = right.copy()
    worse[np.flatnonzero(right)[:12]] = 0
    found = compare(TASK, [of_right(right.tolist()), of_right(worse.tolist())], 0, True)
    assert found.each[0].low < found.each[1].high, "apart, they overlap"
    assert found.behind[1].value == pytest.approx(-12 / 300)
    assert found.behind[1].high < 0, "row by row, the second is worse"
    assert found.behind[0].to_dict() == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_the_corrected_figure_takes_the_luck_out() -> None:
    trials = coins(40, 200)
    figures = [trial.figure(TASK) for trial in trials]
    best = int(np.argmax(figures))
    held = compare(TASK, trials, best, True).corrected
    assert held is not None
    # All have the same true share; the best of 40 looks about two standard errors better than it is.
    assert figures[best] > 0.7 + 1.5 * np.sqrt(0.21 / 200)
    assert abs(held.value - 0.7) < 0.5 * (figures[best] - 0.7)
    assert held.low < 0.7 < held.high


def test_luck_is_told_of_where_it_shows() -> None:
    best = {"value": 0.7, "low": None, "high": None, "tied": True, "rank": 1, "number": 0}
    record: dict[str, Any] = {"best": 0, "measure": "accuracy", "complete": [best], "rows": 40, "resamples": 10}
    record |= {"test": None, "default": None}
    for higher, value, lucky in ((True, 0.6, True), (True, 0.8, False), (False, 0.8, True), (False, 0.7, False)):
        corrected = {"value": value, "low": value, "high": value}
        said = " ".join(honesty({**record, "higher_is_better": higher, "corrected": corrected}))
        assert ("Without the luck of the choice it is" in said) is lucky
        assert ("no luck of the choice shows" in said) is not lucky and ("is often lucky" in said) is not lucky


def test_the_corrected_figure_leaves_a_true_winner_alone() -> None:
    trials = [*coins(10, 400, 0.6), *coins(1, 400, 0.9, seed=9)]
    held = compare(TASK, trials, 10, True).corrected
    assert held is not None and held.value == pytest.approx(trials[10].figure(TASK), abs=0.01)
    assert compare(TASK, trials[:1], 0, True).corrected is None


def test_a_measure_that_is_no_mean_is_resampled_row_by_row() -> None:
    draw = torch.Generator().manual_seed(0)
    targets = torch.randn(120, 1, generator=draw)[:, 0]
    near = targets + 0.1 * torch.randn(120, generator=draw)
    far = targets + 0.5 * torch.randn(120, generator=draw)
    trials = [Rows(one[None, :, None], targets) for one in (near, far)]
    found = compare(Score(), trials, 0, higher_is_better=False)
    assert [one.value for one in found.each] == pytest.approx([trial.figure(Score()) for trial in trials])
    assert found.each[0].low < found.each[0].value < found.each[0].high < found.each[1].low
    assert found.behind[1].low > 0
    assert found.corrected is not None and found.corrected.value == pytest.approx(found.each[0].value, rel=0.1)


def test_scores_are_kept_in_the_units_of_the_labels() -> None:
    assert in_units(Score(3.0, 2.0), torch.tensor([0.0, 1.0])).tolist() == [3.0, 5.0]
    assert in_units(TASK, torch.tensor([1])).tolist() == [1]


def test_rows_are_read_back_and_missing_ones_are_none(tmp_path) -> None:
    rows = of_right([1, 0, 1])
    save_rows(tmp_path / "trials" / "0001.safetensors", rows)
    read = load_rows(tmp_path / "trials" / "0001.safetensors")
    assert read is not None and torch.equal(read.logits, rows.logits) and comparable([read, rows])
    assert load_rows(tmp_path / "trials" / "0002.safetensors") is None
    assert not comparable([rows, of_right([1, 0])])
