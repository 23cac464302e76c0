"""The range test of the learning rate: its arithmetic by hand, and that it leaves nothing behind."""

import math
from pathlib import Path

import pytest
import torch

from attnkit.errors import FailedError, UsageError
from attnkit.train import learning_rate_range
from attnkit.train.rate_range import judged, smooth
from tests.train.small import SMALL, small_data

RATES = [1e-4 * 10 ** (step / 20) for step in range(100)]


def test_smoothing_is_a_weighted_mean() -> None:
    losses = [1.0, 4.0, 2.0, 8.0]
    for n, found in enumerate(smooth(losses), 1):
        weights = [0.95 ** (n - i) for i in range(1, n + 1)]
        assert found == pytest.approx(sum(w * x for w, x in zip(weights, losses, strict=False)) / sum(weights))
    assert smooth([3.0] * 50) == pytest.approx([3.0] * 50)


def test_a_tenth_of_where_the_loss_diverges() -> None:
    # Falls slowly up to step 50, fast up to 60, then explodes.
    losses = [
        2 - 0.005 * n if n < 50 else 1.75 - 0.08 * (n - 50) if n < 60 else 1.2 * 1.5 ** (n - 60) for n in range(100)
    ]
    found = judged(RATES, losses, "adamw")
    assert found.diverged is not None and found.steepest is not None
    assert RATES[60] < found.diverged < RATES[66]
    assert RATES[50] <= found.steepest <= RATES[60] and found.lowest >= found.steepest
    assert found.suggested == found.diverged / 10 and "a tenth" in found.reason


def test_the_steepest_where_that_is_lower_or_nothing_diverges() -> None:
    falling = [2 - (0.1 * min(n, 20)) if n < 20 else 0.0 for n in range(100)]
    found = judged(RATES, falling, "adamw")
    assert found.diverged is None and found.suggested == found.steepest and "fastest" in found.reason
    late = [2 - 0.08 * n if n < 20 else 0.4 if n < 90 else 10.0 ** (n - 88) for n in range(100)]
    found = judged(RATES, late, "adamw")
    assert found.diverged == pytest.approx(RATES[90]) and found.suggested == found.steepest < found.diverged / 10


def test_a_fall_by_chance_among_the_first_steps_is_not_the_steepest() -> None:
    noise = [2.0, 2.0] * 6 + [1.6, 1.6, 2.0, 2.0] * 2
    losses = noise + [2 - 0.01 * n for n in range(40)] + [1.6 - 0.1 * n for n in range(10)] + [0.6] * 10
    found = judged(RATES, losses, "adamw")
    assert found.steepest is not None and found.steepest > RATES[55]


def test_a_loss_that_is_no_number_has_diverged() -> None:
    found = judged(RATES, [2 - 0.01 * n for n in range(40)] + [math.inf], "sgd")
    assert found.diverged == RATES[40] and len(found.rates) == len(found.losses) == len(found.smoothed) == 40
    assert all(math.isfinite(value) for value in (*found.losses, *found.smoothed))


def test_a_loss_that_hardly_falls_is_judged_by_where_it_diverges() -> None:
    found = judged(RATES, [0.69] * 60 + [0.69 * 1.3**n for n in range(40)], "adamw")
    assert found.steepest is None and found.diverged is not None and found.suggested == found.diverged / 10
    with pytest.raises(FailedError, match="neither fell nor diverged"):
        judged(RATES, [0.69] * 100, "adamw")
    with pytest.raises(FailedError, match="begin lower"):
        judged(RATES, [0.69] * 4 + [math.inf], "adamw")


def test_a_range_test_keeps_no_run_and_no_random_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = small_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    before = torch.get_rng_state()
    settings = {key: value for key, value in SMALL.items() if key not in ("learning_rate", "epochs")}
    settings["wide_ngrams"] = 0
    found = learning_rate_range(source, **settings, steps=120)
    again = learning_rate_range(source, **settings, steps=120, schedule="one_cycle")
    assert found == again, "a range test is a function of its settings, the schedule left out"
    assert torch.equal(before, torch.get_rng_state())
    assert [path.name for path in tmp_path.iterdir()] == ["data.csv"]
    ratios = [after / rate for rate, after in zip(found.rates, found.rates[1:], strict=False)]
    assert found.rates[0] == 1e-5 and ratios == pytest.approx([1e6 ** (1 / 119)] * len(ratios))
    assert 1e-3 < found.suggested < 1
    other = learning_rate_range(source, **settings, steps=120, optimizer="sgd")
    assert other.optimizer == "sgd" and other.losses != found.losses


def test_wrong_ranges_are_refused(tmp_path: Path) -> None:
    for wrong in ({"lowest": 0.0}, {"lowest": 1.0, "highest": 0.1}, {"steps": 5}):
        with pytest.raises(UsageError, match="rates that rise"):
            learning_rate_range(small_data(tmp_path), **wrong)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="names no data"):
        learning_rate_range()
    with pytest.raises(UsageError, match="cycles"):
        learning_rate_range(small_data(tmp_path), schedule="linear", cycles=2)
