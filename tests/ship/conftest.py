"""One small trained run, and one bundle made of it, for all the tests of shipping."""

from pathlib import Path

import pytest

import attnkit
from attnkit.ship.shipping import Wishes, ship
from tests.train.small import SMALL, small_data

PLAIN = {"hierarchical": False, "ngrams": 0, "wide_ngrams": 0}


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of a convolution on sentences of two classes."""
    folder = tmp_path_factory.mktemp("shipping")
    attnkit.train(small_data(folder), out=folder / "run", encoder="cnn", **PLAIN, **SMALL)
    return folder / "run"


@pytest.fixture(scope="session")
def bundle(run: Path) -> Path:
    """That run as one file, with its attention."""
    return ship(run, run.parent / "small.pyz", Wishes(to="bundle", attention=True)).path
