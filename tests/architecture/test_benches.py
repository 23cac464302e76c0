"""The benches fit the code they are about: every planted bug still finds the place it is planted in."""

import importlib

import pytest

from tests.architecture.source import ROOT


def test_every_planted_bug_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benches"))
    bugs = importlib.import_module("planted_bugs").BUGS
    assert len({bug.name for bug in bugs}) == len(bugs) >= 20
    for bug in bugs:
        assert bug.change().what == bug.name
