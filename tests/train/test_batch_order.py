"""Each epoch, and each seed, sees the rows in an order of its own."""

from pathlib import Path

import pytest

from attnkit.data.batch_plan import BatchPlan
from attnkit.train import train
from tests.train.small import SMALL, small_data


def orders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> list[list[list[int]]]:
    """The training batches of each epoch, as the loop drew them."""
    drawn: list[list[list[int]]] = []

    def listen(plan: BatchPlan, epoch: int) -> list[list[int]]:
        drawn.append(batches(plan, epoch))
        return drawn[-1]

    batches = BatchPlan.batches
    monkeypatch.setattr(BatchPlan, "batches", listen)
    train(small_data(tmp_path), out=tmp_path / f"run{seed}", **{**SMALL, "epochs": 3, "patience": 9, "seed": seed})
    return drawn[-3:]


def test_the_order_of_rows_changes_with_the_epoch_and_with_the_seed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = orders(tmp_path, monkeypatch, seed=0)
    assert first != second != third != first
    assert sorted(row for batch in first for row in batch) == sorted(row for batch in second for row in batch)
    assert orders(tmp_path, monkeypatch, seed=1)[0] != first
