"""Pieces: a local pattern cut into runs of equal blocks, and the blocks cut short by an end of the sequence."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from attnkit.attention.pattern.base import Pattern
from attnkit.kernels.banded.local import Local

_ROWS = (32, 64, 128)
# What starting a block costs, in pairs.
_STARTING_PAIRS = 512
# Rows, or columns, of a piece with anchors: bounds what its mask and its results take.
_MOST = 1024


@dataclass(frozen=True)
class Piece:
    """`count` blocks of `rows` queries by `columns` keys, the next one `step` tokens further on both sides.

    `query` and `key` are the indices of the first ones; from one to the next it is `stride` tokens. The mask of each
    block is that of the first. A piece with `joins` meets more keys for queries that another piece has met already.
    """

    pattern: Pattern
    count: int
    query: int
    rows: int
    key: int
    columns: int
    step: int
    stride: int = 1
    joins: bool = False

    @property
    def pairs(self) -> int:
        """Pairs scored, a head."""
        return self.count * self.rows * self.columns

    def part(self, first: int, count: int) -> "Piece":
        """`count` of its blocks, the first one being `first`."""
        moved = first * self.step
        return replace(self, count=count, query=self.query + moved, key=self.key + moved)


@lru_cache(maxsize=256)
def pieces(local: Local, T: int, S: int, overhead: int = 0) -> tuple[Piece, ...]:
    """The pattern for T queries aligned bottom-right on S keys: blocks of the band that cost least, and anchors.

    A key of a block costs as much as `overhead` pairs. Each pair that may meet is in exactly one piece; queries that
    meet no key are in none.
    """
    found: list[Piece] = []
    for residue in range(min(local.dilation, S)):
        found += _joined(_blocks(local, T, S, residue, overhead))
    return (*found, *anchor_pieces(local, T, S))


def _cut(local: Local, overhead: int) -> tuple[int, list[tuple[int, int]]]:
    """How far one block is from the next, and where in each such stretch blocks begin and end; in strides."""
    period = local.period // math.gcd(local.period, local.dilation)

    def cost(rows: int, times: int) -> float:
        low, high = local.reach(0, (rows * times - 1) * local.dilation)
        columns = (high - low) // local.dilation + 1
        return ((max(rows * times, _ROWS[0]) + overhead) * columns + _STARTING_PAIRS) / (rows * times)

    if period <= _ROWS[-1]:
        step = period * min(
            {max(1, rows // period) for rows in (period, *_ROWS)}, key=lambda times: cost(period, times)
        )
        return step, [(0, step)]
    parts = math.ceil(period / min(_ROWS, key=lambda rows: cost(rows, 1)))
    return period, [(period * part // parts, period * (part + 1) // parts) for part in range(parts)]


def _blocks(local: Local, T: int, S: int, residue: int, overhead: int) -> Iterator[tuple[bool, Piece]]:
    """The blocks of the positions at `residue` modulo the dilation, each with whether it is whole.

    Queries `start` .. `stop` - 1 and keys `first` .. `stop` - 1 are counted in strides from `residue` on.
    """
    stride, offset = local.dilation, S - T
    start = -((residue - (max(offset, local.anchors) if local.anchors else offset)) // stride)
    first = max(0, -((residue - local.anchors) // stride))
    stop = -((residue - S) // stride)
    step, phases = _cut(local, overhead)
    origin = start if local.period == 1 else 0
    for low, high in phases:
        for block in range((start - origin) // step, (stop - 1 - origin) // step + 1):
            begin, finish = origin + block * step + low, origin + block * step + high
            top, bottom = max(begin, start), min(finish, stop)
            if top >= bottom:
                continue
            left, right = local.reach(residue + top * stride, residue + (bottom - 1) * stride)
            left, right = -((residue - left) // stride), (right - residue) // stride + 1
            key, end = max(left, first), min(right, stop)
            if key < end:
                query = residue + top * stride - offset
                whole = (top, bottom, key, end) == (begin, finish, left, right)
                yield (
                    whole,
                    Piece(local.band, 1, query, bottom - top, residue + key * stride, end - key, step * stride, stride),
                )


def _joined(blocks: Iterable[tuple[bool, Piece]]) -> list[Piece]:
    """Whole blocks that follow one another as one piece."""
    found: list[Piece] = []
    running = False
    for whole, block in blocks:
        if running and whole and block.query == found[-1].query + found[-1].count * block.step:
            found[-1] = replace(found[-1], count=found[-1].count + 1)
        else:
            found.append(block)
        running = whole
    return found


@lru_cache(maxsize=256)
def anchor_pieces(local: Local, T: int, S: int) -> tuple[Piece, ...]:
    """The rows of global queries on all keys, and the columns of global keys for all other queries."""
    if not local.anchors or not S:
        return ()
    offset, found = S - T, []
    rows = min(max(local.anchors - offset, 0), T)
    for query, height in _stretches(0, rows):
        high = local.pattern.reach(query + offset, query + height - 1 + offset)[1]
        for key, width in _stretches(0, S if high is None else min(high + 1, S)):
            found.append(Piece(local.pattern, 1, query, height, key, width, height, joins=key > 0))
    for query, height in _stretches(rows, T):
        for key, width in _stretches(0, min(local.anchors, S)):
            found.append(Piece(local.pattern, 1, query, height, key, width, height, joins=True))
    return tuple(found)


def _stretches(start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Where each begins and its length."""
    for first in range(start, stop, _MOST):
        yield first, min(_MOST, stop - first)
