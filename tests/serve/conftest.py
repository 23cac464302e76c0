"""One small run for all the tests of services."""

from pathlib import Path

import pytest

from tests.verbs.calling import review_csv, small_train


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on reviews.csv, which stands beside it."""
    folder = tmp_path_factory.mktemp("served")
    data = folder / "reviews.csv"
    data.write_text(review_csv(), encoding="utf-8")
    ended = small_train(data, "--out", folder / "run")
    assert ended.code == 0, ended.err
    return folder / "run"
