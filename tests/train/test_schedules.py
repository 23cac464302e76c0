"""Every schedule against its closed formula and, where torch has the same one, against torch's."""

import math
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch.optim import SGD, lr_scheduler

from attnkit.run.recipe import Recipe
from attnkit.run.sections import TrainSettings
from attnkit.train.schedules import READS, falls, learning_rate

HIGHEST, STEPS, EPOCH = 0.1, 60, 10


def rates(schedule: str, warmup: int = 0, better: list[bool] | None = None, **values: Any) -> list[float]:
    recipe = Recipe().with_values({"learning_rate": HIGHEST, "warmup_steps": warmup, "schedule": schedule, **values})
    return [learning_rate(recipe, step, STEPS, EPOCH, better or []) for step in range(STEPS)]


def of_torch(make: Callable[[SGD], Any]) -> list[float]:
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=HIGHEST)
    scheduler = make(optimizer)
    found = []
    for _ in range(STEPS):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


TORCH: dict[str, tuple[dict[str, Any], Callable[[SGD], Any]]] = {
    "constant": ({}, lambda o: lr_scheduler.ConstantLR(o, factor=1.0)),
    "step": ({"decay_factor": 0.3, "decay_epochs": 1.5}, lambda o: lr_scheduler.StepLR(o, 15, 0.3)),
    "exponential": (
        {"decay_factor": 0.4, "decay_epochs": 2.0},
        lambda o: lr_scheduler.ExponentialLR(o, 0.4 ** (1 / 20)),
    ),
    "cosine": (
        {"cycles": 3, "final_rate": 0.1},
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=20, eta_min=0.1 * HIGHEST),
    ),
    "linear": ({"final_rate": 0.2}, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=STEPS)),
    "one_cycle": (
        {"warmup": 18},
        lambda o: lr_scheduler.OneCycleLR(o, HIGHEST, total_steps=STEPS, pct_start=0.3, cycle_momentum=False),
    ),
}


def test_every_schedule_is_known() -> None:
    assert set(READS) == set(get_args(TrainSettings.model_fields["schedule"].annotation))


@pytest.mark.parametrize("name", TORCH)
def test_as_torch_has_it(name: str) -> None:
    values, make = TORCH[name]
    assert rates(name, **values) == pytest.approx(of_torch(make), rel=1e-9)


def test_as_torch_has_a_plateau() -> None:
    values = [0.5, 0.6, 0.6, 0.55, 0.5, 0.6, 0.7, 0.7, 0.69, 0.1, 0.2, 0.3, 0.8, 0.8, 0.8]
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr=HIGHEST)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, "max", factor=0.5, patience=1, threshold=0.0)
    better: list[bool] = []
    best = -math.inf
    for value in values:
        better.append(value > best)
        best = max(best, value)
        scheduler.step(value)
        assert rates("plateau", better=better)[5] == pytest.approx(optimizer.param_groups[0]["lr"])
    assert falls(better, 1) == 5


CLOSED: dict[str, tuple[dict[str, Any], Callable[[int], float]]] = {
    # n counts the steps since the warm-up, which is 12 of the 60.
    "constant": ({}, lambda n: 1.0),
    "step": ({"decay_factor": 0.5, "decay_epochs": 1.0}, lambda n: 0.5 ** (n // 10)),
    "exponential": ({"decay_factor": 0.5, "decay_epochs": 1.0}, lambda n: 0.5 ** (n / 10)),
    "cosine": ({"cycles": 2}, lambda n: (1 + math.cos(math.pi * (n % 24) / 24)) / 2),
    "linear": ({}, lambda n: 1 - n / 48),
    "inverse_root": ({}, lambda n: math.sqrt(12 / (n + 13))),
    "plateau": ({}, lambda n: 0.25),
}


@pytest.mark.parametrize("name", CLOSED)
def test_closed_formula_after_a_linear_rise(name: str) -> None:
    values, formula = CLOSED[name]
    found = rates(name, 12, [True, False, False, False, False] if name == "plateau" else None, **values)
    assert found[:12] == pytest.approx([HIGHEST * (step + 1) / 12 for step in range(12)])
    assert found[12:] == pytest.approx([HIGHEST * formula(n) for n in range(48)])


def test_one_cycle_reaches_its_highest_at_the_end_of_the_rise() -> None:
    found = rates("one_cycle", 12)
    assert found[0] == pytest.approx(HIGHEST / 25) and found[11] == pytest.approx(HIGHEST)
    assert found[-1] == pytest.approx(HIGHEST / 25e4)
    assert max(found) == pytest.approx(HIGHEST)


def test_inverse_root_without_a_warm_up_falls_from_the_first_step() -> None:
    assert rates("inverse_root")[:4] == pytest.approx([HIGHEST / math.sqrt(step + 1) for step in range(4)])


@pytest.mark.parametrize("name", READS)
def test_a_warm_up_beyond_the_end_only_rises(name: str) -> None:
    found = rates(name, 100)
    assert found == sorted(found) and found[0] > 0 and found[-1] <= HIGHEST * (1 + 1e-12)
    recipe = Recipe().with_values({"learning_rate": HIGHEST, "warmup_steps": 1, "schedule": name})
    assert learning_rate(recipe, 0, 1, 1) == pytest.approx(HIGHEST)


def test_falls_count_evaluations_that_were_no_better() -> None:
    assert falls([], 0) == falls([True, True], 0) == falls([True, False], 1) == 0
    assert falls([True, False], 0) == falls([True, False, False], 1) == falls([True, False, False, False], 1) == 1
    assert falls([False, True, False, True, False], 1) == 0
