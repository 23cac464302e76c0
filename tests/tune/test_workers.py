"""Workers that are killed, stopped, late or many: every trial is accounted for, and nothing is done twice unasked."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from attnkit.errors import FailedError, UsageError
from attnkit.train import Interrupted
from attnkit.train.events import Event
from attnkit.train.interrupt import CtrlC
from attnkit.tune import Study, join, tune, worker
from attnkit.tune.account import TrialLine, counted, to_repeat
from attnkit.tune.budget import Budget
from attnkit.tune.info import explain_path
from attnkit.tune.lease import Absences, Worker
from attnkit.tune.search import Search
from tests.tune.small_study import SETTINGS, Heard, data


def pids(journal: Path) -> list[int]:
    """The processes that have taken a trial, in the order in which they did."""
    told = [json.loads(line).get("user_attr", {}).get("worker") for line in journal.read_text("utf-8").splitlines()]
    return list(dict.fromkeys(one["pid"] for one in told if one))


def test_of_two_workers_one_is_killed_and_nothing_is_missing(tmp_path: Path) -> None:
    killed: list[int] = []
    heard = Heard()

    def kill_one(event: Event) -> None:
        heard(event)
        if event.kind == "trial" and event.values["state"] == "running" and not killed:
            killed.append(pids(tmp_path / "study.partial" / "journal.jsonl")[0])
            os.kill(killed[0], signal.SIGKILL)

    settings = {**SETTINGS, "epochs": 6}
    study = tune(data(tmp_path), out=tmp_path / "study", trials=4, workers=2, progress=kill_one, **settings)
    lines, record = study.trials, study.leaderboard
    lost = [line for line in lines if line["state"] == "lost"]
    # Whoever sees it first says it: the leader, who knows the signal, or the other worker, who misses it.
    assert len(lost) == 1 and f"process {killed[0]}" in lost[0]["reason"] and "killed" in lost[0]["reason"]
    again = [line for line in lines if line["again_of"] == lost[0]["number"]]
    assert len(again) == 1 and again[0]["setting"] == lost[0]["setting"] and again[0]["state"] == "complete"
    assert record["counts"] == {"complete": 4, "lost": 1} and record["counted"] == 4
    assert [line["number"] for line in lines] == list(range(5))
    assert len({line["worker"] for line in lines}) >= 2
    assert study.final is not None
    with pytest.raises(ProcessLookupError):
        os.kill(killed[0], 0)


def test_a_study_that_was_killed_goes_on_and_does_the_lost_trial_again(tmp_path: Path) -> None:
    source = data(tmp_path)
    code = f"""
import os, signal
from attnkit.tune import tune

def kill(event):
    if event.kind == "trial" and event.values["state"] == "complete" and event.values["done"] == 2:
        from attnkit.tune import worker
        worker.run_trial = lambda *args, **kwargs: os.kill(os.getpid(), signal.SIGKILL)

tune({str(source)!r}, out={str(tmp_path / "study")!r}, trials=4, progress=kill, **{SETTINGS!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    partial = tmp_path / "study.partial"
    found = explain_path(partial)
    assert found.kind == "unfinished study" and "2 complete, 1 running" in " ".join(found.sentences)
    with open(partial / "journal.jsonl", "ab") as journal:
        journal.write(b'{"op_code": 4, "half": ')
    study = tune(out=tmp_path / "study", resume=True)
    states = [line["state"] for line in study.trials]
    assert states == ["complete", "complete", "lost", "complete", "complete"]
    assert "killed, or crashed" in study.trials[2]["reason"]
    assert study.trials[3]["again_of"] == 2 and study.trials[3]["setting"] == study.trials[2]["setting"]
    assert study.leaderboard["counted"] == 4 and not partial.exists()


def test_ctrl_c_ends_with_what_there_is_and_goes_on(tmp_path: Path) -> None:
    seen: list[int] = []

    def press(event: Event) -> None:
        if event.kind == "trial" and event.values["state"] == "running":
            seen.append(event.values["number"])

    source, settings = data(tmp_path), {**SETTINGS, "trials": 3}
    real = worker.run_trial

    def pressed(*args: Any, **kwargs: Any) -> Any:
        report = kwargs["report"]

        def report_and_press(value: float, point: int) -> None:
            report(value, point)
            if len(seen) == 1 and point == 1:
                os.kill(os.getpid(), signal.SIGINT)

        return real(*args, **{**kwargs, "report": report_and_press})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "run_trial", pressed)

        def count(event: Event) -> None:
            if event.kind == "trial" and event.values["state"] == "complete":
                seen.append(event.values["number"])

        with pytest.raises(Interrupted, match="--resume") as caught:
            tune(source, out=tmp_path / "study", progress=count, **settings)
    assert Path(caught.value.path).name == "study.partial"
    stopped = Study.open(tmp_path / "study")
    assert [line["state"] for line in stopped.trials] == ["complete", "stopped"]
    assert "stopped by Ctrl-C" in stopped.trials[1]["reason"] and stopped.best.tune.space == {}
    study = tune(source, out=tmp_path / "study", resume=True, **settings)
    assert [line["state"] for line in study.trials] == ["complete", "stopped", "complete", "complete"]
    assert study.trials[2]["again_of"] == 1 and study.trials[2]["setting"] == study.trials[1]["setting"]


def test_a_crew_is_stopped_by_ctrl_c_and_leaves_no_process(tmp_path: Path) -> None:
    def press(event: Event) -> None:
        if event.kind == "trial" and event.values["state"] == "running":
            os.kill(os.getpid(), signal.SIGINT)

    settings = {**SETTINGS, "epochs": 1000, "patience": 1000}
    with pytest.raises(Interrupted):
        tune(data(tmp_path), out=tmp_path / "study", trials=2, workers=2, progress=press, **settings)
    partial = tmp_path / "study.partial"
    assert {line["state"] for line in Study.open(partial).trials} == {"stopped"}
    for pid in pids(partial / "journal.jsonl"):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_study_is_resumed_with_its_own_recipe_alone(tmp_path: Path) -> None:
    source = data(tmp_path)

    def stop(event: Event) -> None:
        if event.kind == "trial":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted):
        tune(source, out=tmp_path / "study", trials=2, progress=stop, **SETTINGS)
    for change, said in (
        ({"epochs": 9}, "train.epochs = 2"),
        ({"space": {"model.embedding_width": [4, 16]}}, "tune.space"),
        ({"sampler": "gp"}, "tune.sampler = 'random'"),
    ):
        with pytest.raises(UsageError) as caught:
            tune(source, out=tmp_path / "study", resume=True, **change)
        assert said in str(caught.value)
    other = data(tmp_path, 90)
    with pytest.raises(UsageError, match="not the data"):
        tune(other, out=tmp_path / "study", resume=True)
    data(tmp_path)
    study = tune(source, out=tmp_path / "study", resume=True, trials=3, final=False, **SETTINGS)
    assert study.leaderboard["counted"] == 3
    assert tune(source, out=tmp_path / "study", resume=True).path == study.path


def test_the_last_training_is_gone_on_with_unless_more_trials_are_asked_for(tmp_path: Path) -> None:
    source = data(tmp_path)

    def stop(event: Event) -> None:
        if event.kind == "start":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="study"):
        tune(source, out=tmp_path / "study", tune_minutes=60.0, trials=2, progress=stop, **SETTINGS)
    partial = tmp_path / "study.partial"
    assert (partial / "final.partial").is_dir()
    assert "the best setting is being trained" in " ".join(explain_path(partial).sentences)
    with pytest.raises(Interrupted):
        tune(source, out=tmp_path / "study", resume=True, progress=stop, trials=4)
    assert len(Study.open(partial).trials) == 4
    study = tune(source, out=tmp_path / "study", resume=True)
    assert len(study.trials) == 4 and study.final is not None
    best = study.leaderboard["complete"][0]["setting"]["train.learning_rate"]
    assert study.final.recipe.train.learning_rate == best


def test_a_worker_that_is_led_ends_with_its_leader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(event: Event) -> None:
        if event.kind == "search":
            raise KeyboardInterrupt

    settings = {**SETTINGS, "epochs": 1000, "patience": 1000}
    with pytest.raises(KeyboardInterrupt):
        tune(data(tmp_path), out=tmp_path / "study", trials=2, progress=stop, **settings)
    partial = tmp_path / "study.partial"
    search = Search.open(str(partial / "journal.jsonl"), "study", partial)
    work = worker.Work(search, worker.read_data(search), CtrlC(), Budget(), wanted=2, led=True)
    real = worker.run_trial

    def orphaned(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(worker.os, "getppid", lambda: 1)
        return real(*args, **kwargs)

    monkeypatch.setattr(worker, "run_trial", orphaned)
    work.run()
    assert [(line.state, line.reason) for line in search.lines()] == [
        ("stopped", "the process that led the study ended")
    ]


@pytest.mark.slow
def test_others_join_by_a_database_and_their_own_copy_of_the_data(tmp_path: Path) -> None:
    """While the leader is busy with its first trial, a process that shares only the database does the others."""
    address = f"sqlite:///{tmp_path / 'trials.db'}"
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    mine.mkdir(), theirs.mkdir()
    source, copy = data(mine), data(theirs)
    code = f"from attnkit.tune import join; print(join('study', storage={address!r}, data={str(copy)!r}))"
    helpers: list[subprocess.Popen[str]] = []
    real = worker.run_trial

    def slowly(*args: Any, **kwargs: Any) -> Any:
        if not helpers:
            helpers.append(
                subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True, cwd=theirs)
            )
            search, deadline = Search.open(address, "study", None), time.monotonic() + 120
            while sum(line.state == "complete" for line in search.lines()) < 2 and time.monotonic() < deadline:
                time.sleep(0.1)
        return real(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(worker, "run_trial", slowly)
        study = tune(source, out=tmp_path / "study", storage=address, trials=3, final=False, **SETTINGS)
    assert helpers[0].wait(60) == 0, helpers[0].stderr.read()  # type: ignore[union-attr]
    assert study.leaderboard["counts"] == {"complete": 3}
    workers = [line["worker"] for line in study.trials]
    assert workers[0] != workers[1] == workers[2]
    # Only rows of the leader's machine are at hand; what came from elsewhere has no interval of rows.
    assert (study.path / "trials" / "0000.safetensors").is_file()
    assert not (study.path / "trials" / "0001.safetensors").exists()
    assert list(theirs.iterdir()) == [copy]


def test_who_joins_what_is_not_there_hears_it_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no study at"):
        join(tmp_path / "none")
    with pytest.raises(UsageError, match="no study 'none'"):
        join("none", storage=f"sqlite:///{tmp_path / 'empty.db'}")


def test_a_budget_keeps_room_for_the_last_training() -> None:
    now = [1000.0]
    budget = Budget(until=1100.0, trainings=2, final=True, clock=lambda: now[0])
    line = TrialLine(0, "complete", {}, value=0.9, seconds=40.0)
    assert budget.left([]) == pytest.approx(97.0)
    assert budget.left([line]) == pytest.approx(97.0 - 1.15 * 20.0)
    assert not budget.over([line]) and not budget.too_late([line])
    now[0] = 1035.0
    assert budget.too_late([line]) and not budget.over([line])
    now[0] = 1075.0
    assert budget.over([line])
    assert not Budget().over([line]) and not Budget().too_late([line])
    assert Budget.from_text(budget.to_text()).until == 1100.0


def test_the_time_ends_the_search_and_the_best_is_still_trained(tmp_path: Path) -> None:
    study = tune(data(tmp_path), out=tmp_path / "study", tune_minutes=6 / 60, **SETTINGS)
    record = study.leaderboard
    assert record["complete"] and study.final is not None and record["test"]
    assert set(record["counts"]) <= {"complete", "stopped"}


def test_a_trial_that_the_time_ends_is_stopped_and_waits_for_the_next_call(tmp_path: Path) -> None:
    settings = {**SETTINGS, "epochs": 1000, "patience": 1000}
    with pytest.raises(FailedError, match="the time of the study ended"):
        tune(data(tmp_path), out=tmp_path / "study", tune_minutes=5 / 60, **settings)
    assert [line["state"] for line in Study.open(tmp_path / "study").trials] == ["stopped"]


def line(number: int, state: str, again_of: int | None = None) -> TrialLine:
    return TrialLine(number, state, {"a": 1}, again_of=again_of)


def test_lost_trials_are_begun_anew_as_often_as_allowed_and_count_once() -> None:
    lines = [line(0, "complete"), line(1, "lost"), line(2, "failed"), line(3, "stopped"), line(4, "surplus")]
    assert [one.number for one in to_repeat(lines, 1)] == [1, 3]
    assert [one.number for one in to_repeat(lines, 0)] == [3]
    assert [one.number for one in counted(lines)] == [0, 1, 2, 3]
    lines += [line(5, "lost", again_of=1), line(6, "running", again_of=3)]
    assert to_repeat(lines, 1) == []
    assert [one.number for one in to_repeat(lines, 2)] == [5]
    assert [one.number for one in counted(lines)] == [0, 2, 5, 6]


class Trial:
    """A running trial, as its worker last wrote of it."""

    def __init__(self, told: dict[str, Any], beat: int = 0) -> None:
        self.number = 3
        self.user_attrs = {"worker": told, "beat": {"count": beat}}


def test_a_worker_is_gone_when_its_lock_is_free_or_its_pulse_has_stopped(tmp_path: Path) -> None:
    now = [0.0]
    absences = Absences(tmp_path, 10.0, clock=lambda: now[0])
    me = Worker(tmp_path)
    with me.present():
        told = me.to_dict()
        assert told["locked"] and absences.reason(Trial(told)) == ""
        now[0] = 9.0
        assert absences.reason(Trial(told)) == ""
        now[0] = 10.5
        assert "no sign of life for 10 seconds" in absences.reason(Trial(told))
        assert absences.reason(Trial(told, beat=1)) == "", "a later beat begins the lease anew"
        now[0] = 20.0
        assert absences.reason(Trial(told, beat=1)) == ""
        now[0] = 21.0
        elsewhere = {**told, "machine": "another", "name": "unknown"}
        assert "no sign of life" in absences.reason(Trial(elsewhere, beat=1))
    assert "ended without a word" in absences.reason(Trial(told, beat=2))
    assert Absences(tmp_path, 10.0).reason(Trial({**told, "machine": "another"})) == ""
    assert Absences(tmp_path, 10.0).reason(Trial({**told, "locked": False})) == ""
