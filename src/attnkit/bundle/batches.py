"""Lists of ids to the arrays that a shipped model takes."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.data.encoding import Ids

Array = NDArray[Any]


def collated(items: Sequence[Ids], hierarchical: bool) -> tuple[Array, Array]:
    """(ids, keep) padded to the longest: int64 and bool, (B, T), or (B, N, T) where hierarchical; no axis is 0."""
    tables: list[Any] = list(items) if hierarchical else [[item] for item in items]
    rows = max(1, max((len(table) for table in tables), default=1))
    longest = max(1, max((len(row) for table in tables for row in table), default=1))
    ids_BNT = np.zeros((len(tables), rows, longest), np.int64)
    keep_BNT = np.zeros(ids_BNT.shape, bool)
    for number, table in enumerate(tables):
        for place, row in enumerate(table):
            ids_BNT[number, place, : len(row)] = row
            keep_BNT[number, place, : len(row)] = True
    return (ids_BNT, keep_BNT) if hierarchical else (ids_BNT[:, 0], keep_BNT[:, 0])


def batches_of(items: Sequence[Ids], batch_rows: int) -> Iterator[list[int]]:
    """Row numbers, those of like length together, `batch_rows` at a time."""
    order = sorted(range(len(items)), key=lambda number: len(items[number]))
    for start in range(0, len(order), batch_rows):
        yield order[start : start + batch_rows]
