"""What every test stands on: a cache of its own, no home folder touched, and one thread a worker."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)
settings.register_profile("ci", parent=settings.get_profile("house"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "house")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        import torch

        torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATTNKIT_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """The folder of real data sets that ATTNKIT_DATA names; the test is skipped where it is not set."""
    named = os.environ.get("ATTNKIT_DATA")
    if not named or not Path(named).is_dir():
        pytest.skip("ATTNKIT_DATA names no folder of data sets")
    yield Path(named)
