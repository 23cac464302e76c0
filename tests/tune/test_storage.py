"""Where trials stand: no password is written down, no half line spoils a journal, nothing is executed."""

import os
from pathlib import Path

import pytest

from attnkit.errors import UsageError
from attnkit.tune.lease import Pulse
from attnkit.tune.plan import Plan
from attnkit.tune.search import Search
from attnkit.tune.storage import is_url, lacks_password, mend_journal, open_storage, without_password


@pytest.mark.parametrize(
    ("given", "written"),
    [
        ("postgresql://me:secret@db.example:5432/studies?x=1", "postgresql://me:***@db.example:5432/studies?x=1"),
        ("postgresql://me@db/studies", "postgresql://me@db/studies"),
        ("mysql://me:p%40ss:word@db/studies", "mysql://me:***@db/studies"),
        ("sqlite:///trials.db", "sqlite:///trials.db"),
        ("shared/trials.jsonl", "shared/trials.jsonl"),
    ],
)
def test_a_password_is_never_written_down(given: str, written: str) -> None:
    assert without_password(given) == written
    assert lacks_password(written) == ("***" in written) and not lacks_password(given)
    assert is_url(given) == ("//" in given)


def test_an_error_of_a_database_does_not_tell_the_password() -> None:
    with pytest.raises(UsageError) as caught:
        open_storage("nothing://me:secret@db/studies", None)
    assert "secret" not in str(caught.value) and "nothing://me:***@db" in str(caught.value)


@pytest.mark.parametrize("whole", [b"", b'{"a": 1}\n', b'{"a": 1}\n{"b": 2}\n'])
def test_half_a_line_is_cut_off_and_whole_ones_stay(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "journal.jsonl"
    for half in (b"", b'{"c": '):
        path.write_bytes(whole + half)
        mend_journal(path)
        assert path.read_bytes() == whole
    assert os.listdir(tmp_path) == ["journal.jsonl"], "no lock is left"
    mend_journal(tmp_path / "none.jsonl")


def plan(name: str = "study") -> Plan:
    from attnkit.run.recipe import Recipe

    space = {"model.width": [8, 16], "train.label_smoothing": {"low": 0.0, "high": 0.4, "points": 3}}
    tables = Recipe().with_values({"tune.space": space, "sampler": "grid"}).to_plain()
    return Plan(name, tables, "data.csv", "0", "accuracy", True, "so", 10, {})


@pytest.mark.parametrize("where", ["", "sqlite:///{}/trials.db"])
def test_two_searches_see_the_same_trials_and_a_name_is_taken_once(tmp_path: Path, where: str) -> None:
    where = where.format(tmp_path)
    mine = Search.begin(plan(), where, tmp_path)
    with pytest.raises(UsageError, match="holds a study 'study' already"):
        Search.begin(plan(), where, tmp_path)
    mine.plant(None, 4)
    theirs = Search.open(where, "study", tmp_path)
    assert theirs.plan == mine.plan and theirs.target(0) == 4
    trial = mine.study.ask(mine.distributions)
    other = theirs.study.ask(theirs.distributions)
    assert {trial.number, other.number} == {0, 1} and trial.params != other.params
    assert [line.state for line in theirs.lines()] == ["running", "running", "waiting", "waiting"]
    first = theirs.running()[0]
    assert mine.end(first, "lost", "gone") and not theirs.end(first, "lost", "said later")
    mine.repeat("stopped")
    assert len(theirs.lines()) == 4
    mine.repeat("lost")
    mine.repeat("lost", "stopped")
    lines = theirs.lines()
    assert [line.state for line in lines] == ["lost", "running", "waiting", "waiting", "waiting"]
    assert lines[4].again_of == 0 and lines[4].setting == lines[0].setting
    assert theirs.target(0) == 4 and lines[0].reason == "gone"
    assert not theirs.over()
    mine.say_over()
    assert theirs.over()


def test_one_trial_too_many_is_surplus(tmp_path: Path) -> None:
    search = Search.begin(plan(), "", tmp_path)
    search.plant(None, 0)
    numbers = [search.study.ask(search.distributions).number for _ in range(3)]
    assert [search.surplus(number, 2) for number in numbers] == [False, False, True]
    assert not search.surplus(2, 0) and not search.surplus(2, 3)


def test_a_pulse_goes_on_while_work_does_and_hears_that_it_must_stop() -> None:
    beats: list[int] = []
    reasons = iter(["", "", "enough"])
    with Pulse(beats.append, lambda: next(reasons, "later"), lease_seconds=0.04) as pulse:
        while not pulse.stop:
            pass
    assert pulse.stop == "enough" and beats == list(range(len(beats))) and len(beats) >= 2


def test_a_storage_out_of_reach_for_a_while_ends_no_trial() -> None:
    calls: list[int] = []

    def beat(count: int) -> None:
        calls.append(count)
        if len(calls) < 3:
            raise OSError("the network is away")

    with Pulse(beat, lambda: "done" if len(calls) >= 4 else "", lease_seconds=0.04) as pulse:
        while not pulse.stop:
            pass
    assert calls[:3] == [0, 0, 0] and pulse.stop == "done"
