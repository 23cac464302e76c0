"""Averaged weights against plain arithmetic, and that a run stopped among them goes on as if it had not."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from attnkit.run.recipe import Recipe
from attnkit.train import train
from attnkit.train.averaging import average_into, make_average
from tests.train.small import SMALL, small_data
from tests.train.test_resume import Crash, stop_at, weights_of


def walked(values: list[float], **settings: Any) -> list[float]:
    """The average after each of the weights `values`, begun at 0."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.zeros_(model.weight)
    average = make_average(model, Recipe().with_values({"ema_decay": 0.0, **settings}))
    assert average is not None
    found = []
    for step, value in enumerate(values):
        nn.init.constant_(model.weight, value)
        average.add(model, step, len(values))
        found.append(average.model.weight.item())
    return found


def test_no_average_unless_asked() -> None:
    assert make_average(nn.Linear(1, 1), Recipe().with_values({"ema_decay": 0.0})) is None


def test_exponential_averages_start_quickly_and_follow_slowly() -> None:
    found = walked([1.0, 2.0, -1.0], ema_decay=0.15)
    first = 0.9
    second = 0.15 * first + 0.85 * 2.0
    assert found == pytest.approx([first, second, 0.15 * second - 0.85])


def test_average_into_moves_by_its_share() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    average = {"weight": torch.zeros(1, 1)}
    average_into(average, model, 0.1)
    assert average["weight"].item() == pytest.approx(0.1)


def test_equal_averages_begin_at_their_share_of_the_steps() -> None:
    found = walked([9.0, 8.0, 1.0, 2.0, 6.0], swa_start=0.4)
    assert found == pytest.approx([9.0, 8.0, 1.0, 1.5, 3.0])
    assert walked([4.0, 2.0], swa_start=0.0) == pytest.approx([4.0, 3.0])


def test_equal_averages_take_over_from_exponential_ones() -> None:
    found = walked([1.0, 1.0, 5.0, 7.0], ema_decay=0.5, swa_start=0.5)
    assert found[:2] == pytest.approx([0.9, 0.9 + 0.1 * (1 - 2 / 11)]) and found[2:] == pytest.approx([5.0, 6.0])


@pytest.mark.parametrize(
    "settings",
    [
        {"swa_start": 0.3},
        {"optimizer.optimizer": "muon", "encoder": "transformer", "schedule": "plateau", "plateau_patience": 0},
        {"optimizer.optimizer": "sgd", "layer_decay": 0.5, "schedule": "one_cycle"},
    ],
    ids=["swa", "muon on a plateau", "sgd"],
)
def test_a_stopped_run_ends_as_one_that_was_not(tmp_path: Path, settings: dict[str, Any]) -> None:
    values = {**SMALL, "epochs": 3, "checkpoint_every_steps": 2, "evaluate_every_steps": 3, **settings}
    source = small_data(tmp_path, 48)
    whole = train(source, out=tmp_path / "whole", **values)
    for step in (5, 11):
        with pytest.raises(Crash):
            train(source, out=tmp_path / "run", resume=True, progress=stop_at(step), **values)
    run = train(source, out=tmp_path / "run", resume=True, **values)
    wanted, found = weights_of(whole.path), weights_of(run.path)
    assert all(torch.equal(value, found[name]) for name, value in wanted.items())
    assert run.metrics["history"] == whole.metrics["history"]
