"""A budget of time: what fits into it, with a clock that the tests move."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.log import read_log
from attnkit.train import training
from attnkit.train.budget import Budget, Pacer, minutes_of
from attnkit.train.events import Event
from attnkit.train.training import train
from tests.train.small import SMALL, small_data


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def spend(seconds: float, step_seconds: float, evaluation: float, steps_an_epoch: int, slow: float = 1.0) -> float:
    """Seconds that a training of fake steps takes; `slow` is what steps cost from the third epoch on, as a factor."""
    clock = Clock()
    pacer = Pacer(Budget(seconds, clock(), clock, ending=2.0, busy=clock), steps_an_epoch, 0, evaluation)
    step = settled = 0
    while not settled or step < settled:
        clock.now += step_seconds * (slow if step > 2 * steps_an_epoch else 1) * (5 if step < 2 else 1)
        step += 1
        settled = pacer.after_step(step, settled)
        if step % steps_an_epoch == 0:
            clock.now += evaluation
            settled = pacer.after_evaluation(step, settled, evaluation)
    clock.now += 3 * evaluation + 2.0
    return clock.now - 100.0


@pytest.mark.parametrize("slow", [0.5, 1.0, 2.0])
@pytest.mark.parametrize(("step_seconds", "evaluation", "steps_an_epoch"), [(0.02, 1.0, 150), (0.3, 5.0, 40)])
def test_the_time_is_kept_within_a_tenth(
    step_seconds: float, evaluation: float, steps_an_epoch: int, slow: float
) -> None:
    for seconds in (60.0, 180.0, 600.0):
        assert 0.9 * seconds < spend(seconds, step_seconds, evaluation, steps_an_epoch, slow) < 1.1 * seconds


def test_a_time_too_short_for_an_epoch_still_ends_in_time() -> None:
    assert 50 < spend(60.0, 0.5, 2.0, steps_an_epoch=1000) < 66


def test_a_time_that_is_over_allows_one_step() -> None:
    clock = Clock()
    pacer = Pacer(Budget(1.0, clock() - 5, clock, busy=clock), 10, 0, 0.1)
    clock.now += 0.2
    assert pacer.after_step(1, 0) == 1


def test_what_is_settled_stays_while_the_pace_does() -> None:
    clock = Clock()
    pacer = Pacer(Budget(100.0, clock(), clock, busy=clock), 50, 0, 1.0)
    settled, seen = 0, []
    for step in range(1, 301):
        clock.now += 0.1
        settled = pacer.after_step(step, settled)
        if step % 50 == 0:
            clock.now += 1.0
            settled = pacer.after_evaluation(step, settled, 1.0)
        seen.append(settled)
    assert len({*seen} - {0}) == 1 and seen[20] == 0


def test_a_busy_machine_is_left_more_time_for_the_end() -> None:
    clock = Clock()
    free, busy = (Budget(600.0, clock(), clock, busy=partial(float, work)) for work in (10.0, 2.0))
    clock.now += 10
    assert (free.slowness(), busy.slowness()) == (1.0, 5.0)
    settled = [Pacer(budget, 1000, 0, 1.0)._after() for budget in (free, busy)]
    assert settled[1] - settled[0] == pytest.approx(4 * 2.5)


def test_parts_of_a_budget_end_one_after_another() -> None:
    clock = Clock()
    whole = Budget(90.0, clock(), clock)
    clock.now += 30
    assert whole.part(3).left() == pytest.approx(20) and whole.part(1).left() == pytest.approx(60)


@pytest.mark.parametrize(("text", "minutes"), [("90s", 1.5), ("10m", 10), ("1h30m", 90), ("0.5h", 30)])
def test_times_are_read(text: str, minutes: float) -> None:
    assert minutes_of(text) == pytest.approx(minutes)


@pytest.mark.parametrize("text", ["", "ten", "5 m", "-3m", "0s", "3d", "m", "1e3", "5", "0.5"])
def test_other_words_are_no_times(text: str) -> None:
    with pytest.raises(UsageError, match="--time"):
        minutes_of(text)


def timed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, minutes: float, stop: int = 0, **more: Any
) -> Run:
    """A training whose every step takes a tenth of a second of a made-up clock; killed after step `stop` once."""
    clock = Clock()
    monkeypatch.setattr(training, "Budget", lambda seconds, began: Budget(seconds, clock(), clock, busy=clock))

    def listen(event: Event) -> None:
        if event.kind == "step":
            clock.now += 0.1
            if event.values["step"] == stop:
                raise RuntimeError("killed")

    settings = {**SMALL, "minutes": minutes, "checkpoint_every_steps": 7, **more}
    del settings["epochs"], settings["patience"]
    data = tmp_path / "data.csv"
    return train(data if data.exists() else small_data(tmp_path), out=tmp_path / name, progress=listen, **settings)


def steps_of(run: Run) -> int:
    return int(run.metrics["history"][-1]["step"])


def test_training_fills_its_time_and_not_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = timed(tmp_path, monkeypatch, "run", 0.2)
    assert 95 <= steps_of(run) <= 108
    assert "the time is used" in run.metrics["stopped"]
    rates = [line["learning_rate"] for line in read_log(run.path / "log.jsonl") if line["event"] == "step"]
    assert rates[-1] < 0.001 * max(rates)


def test_a_training_without_time_for_an_epoch_ends_early_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = timed(tmp_path, monkeypatch, "run", 0.05, batch_rows=2)
    assert steps_of(run) < 20 and "not every training row is read" in (run.path / "log.jsonl").read_text("utf-8")


def test_a_timed_run_that_was_killed_ends_as_one_that_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = timed(tmp_path, monkeypatch, "whole", 0.2)
    with pytest.raises(RuntimeError, match="killed"):
        timed(tmp_path, monkeypatch, "killed", 0.2, stop=60)
    again = timed(tmp_path, monkeypatch, "killed", 0.2, resume=True)
    assert steps_of(again) == steps_of(whole)
    assert (again.path / "model" / "weights.safetensors").read_bytes() == (
        whole.path / "model" / "weights.safetensors"
    ).read_bytes()


def test_folds_share_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = timed(tmp_path, monkeypatch, "run", 0.4, folds=3)
    said = [line for line in read_log(run.path / "log.jsonl") if line["event"] == "step"]
    assert len(said) * 0.1 <= 0.4 * 60
    assert len({line["step"] for line in said}) < 0.45 * len(said)
