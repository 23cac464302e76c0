"""One small trained run for all the tests of the verbs."""

from pathlib import Path

import pytest

from tests.verbs.calling import review_csv, small_train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds reviews.csv and the run `run` on it."""
    folder = tmp_path_factory.mktemp("trained")
    data = folder / "reviews.csv"
    data.write_text(review_csv(), encoding="utf-8")
    ended = small_train(data, "--out", folder / "run")
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path
