"""Batches of texts: of like length and padded to the longest, or drawn at random and packed end to end."""

from collections.abc import Sequence

import torch
from torch import Tensor

PADDING = 0
BATCHES_PER_POOL = 50


def bucket_batches(
    lengths: Sequence[int],
    batch_rows: int,
    generator: torch.Generator | None = None,
    shuffle: bool = True,
) -> list[list[int]]:
    """Row numbers in batches of `batch_rows`, rows of like length together; every row stands in exactly one batch.

    With `shuffle` rows are drawn into pools of 50 batches, sorted by length within a pool, and the order of the batches
    is drawn too, all from `generator`; without it rows are sorted by length over the whole set.
    Raises: ValueError where `batch_rows` is below 1.
    """
    _check(batch_rows)
    rows = len(lengths)
    if not shuffle:
        order = sorted(range(rows), key=lambda row: lengths[row])
        return _cut(order, batch_rows)
    drawn = torch.randperm(rows, generator=generator).tolist()
    batches = [
        batch
        for pool in _cut(drawn, batch_rows * BATCHES_PER_POOL)
        for batch in _cut(sorted(pool, key=lambda row: lengths[row]), batch_rows)
    ]
    return [batches[number] for number in torch.randperm(len(batches), generator=generator).tolist()]


def random_batches(
    lengths: Sequence[int], batch_rows: int, generator: torch.Generator | None = None
) -> list[list[int]]:
    """Row numbers in batches of `batch_rows` drawn from all rows alike; every row stands in exactly one batch.

    Within a batch the shortest stands first: packed texts of one length are then computed side by side.
    Raises: ValueError where `batch_rows` is below 1.
    """
    _check(batch_rows)
    drawn = torch.randperm(len(lengths), generator=generator).tolist()
    return [sorted(batch, key=lambda row: lengths[row]) for batch in _cut(drawn, batch_rows)]


def pack(id_lists: Sequence[Sequence[int]]) -> tuple[Tensor, tuple[int, ...]]:
    """The ids of all texts end to end, int64 (1,N), and how many each of them has; behind them a few zeros, if any.

    The zeros make N a number of at most six binary digits, for the reason that `padded_width` gives.
    """
    flat = [number for ids in id_lists for number in ids]
    spare = padded_width(len(flat), digits=6) - len(flat)
    return torch.tensor([flat + [PADDING] * spare], dtype=torch.int64), tuple(len(ids) for ids in id_lists)


def collate(id_lists: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids padded with 0 to the longest row or little more, int64 (B,T), and which are real, bool (B,T)."""
    width = padded_width(max((len(ids) for ids in id_lists), default=0))
    ids_BT = torch.full((len(id_lists), width), PADDING, dtype=torch.int64)
    keep_BT = torch.zeros(ids_BT.shape, dtype=torch.bool)
    for row, ids in enumerate(id_lists):
        ids_BT[row, : len(ids)] = torch.as_tensor(ids, dtype=torch.int64)
        keep_BT[row, : len(ids)] = True
    return ids_BT, keep_BT


def padded_width(longest: int, digits: int = 4) -> int:
    """The next number of at most `digits` binary digits: at least 1; with four, at most an eighth more than `longest`.

    Tensors then come in a few dozen sizes instead of hundreds, so that memory freed by one step fits the next.
    """
    step = 2 ** max(0, longest.bit_length() - digits)
    return max(1, -(-longest // step) * step)


def _check(batch_rows: int) -> None:
    if batch_rows < 1:
        raise ValueError(f"batch_rows must be at least 1 and is {batch_rows}; give a positive number of rows.")


def _cut(order: list[int], size: int) -> list[list[int]]:
    return [order[start : start + size] for start in range(0, len(order), size)]
