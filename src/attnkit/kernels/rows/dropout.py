"""Dropout by counting: whether a weight stays is a function of the seed and of its place, and nothing is kept."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.kernels.native.rows import drop_
from attnkit.kernels.rows.place import Space, in_cache

_WORD = (1 << 32) - 1
_SIGN = 1 << 31
_FIRST, _SECOND = 0x7FEB352D, 0x846CA68B
_GOLDEN = 0x9E3779B9


@dataclass(frozen=True)
class DropoutMask:
    """Weight (row i, column j) of a head stays where hash(row key a_i + column key b_j) >= p 2^32 - 2^31, else is 0.

    The keys are hashes of seed, head and index, the hash takes 32-bit integers to 32-bit integers with a sign, and what
    stays is scaled by 1 / (1 - p). Forward and backward, any cut into slabs and any number of threads see one mask.

    Raises: ValueError where p is not in [0, 1).
    Source: Srivastava et al. (2014), Dropout; a mask by counting: Salmon et al. (2011), Parallel random numbers: as
        easy as 1, 2, 3; the hash: Wellons (2018), Prospecting for hash functions.
    Cost: natively one pass over the slab; else 12 passes, most of them of integers.
    """

    seed: int
    p: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.p < 1.0:
            raise ValueError(f"dropout must be in [0, 1); got {self.p}")

    def apply_(self, x_RS: Tensor, head: int, row: int, column: int, space: Space | None = None) -> Tensor:
        """x_RS, the part of a head's map that begins at `row` and `column`, masked and scaled in place.

        `head` counts heads over the whole batch. `space` lends two workspaces of integers the size of x_RS.

        Raises: ValueError where x_RS has not two axes.
        """
        if x_RS.dim() != 2:
            raise ValueError(f"dropout falls on one head's rows and columns; got shape {tuple(x_RS.shape)}")
        self.apply_heads_(x_RS[None], head, row, column, space)
        return x_RS

    def apply_heads_(self, x_HRS: Tensor, head: int, row: int, column: int, space: Space | None = None) -> Tensor:
        """The same of all heads from `head` on, whose slabs begin at one row and column."""
        if self.p == 0.0 or not x_HRS.numel():
            return x_HRS
        starts = [(self._start(one, 0), self._start(one, 1)) for one in range(head, head + x_HRS.shape[0])]
        least = min(round(self.p * (1 << 32)) - _SIGN, _SIGN - 1)
        scale = 1.0 / (1.0 - self.p)
        if not drop_(x_HRS, starts, (row, column), least, scale):
            for x_RS, (rows, columns) in zip(x_HRS, starts, strict=True):
                keys = _keys(rows, row, x_RS.shape[0], x_RS.device), _keys(columns, column, x_RS.shape[1], x_RS.device)
                self._plain_(x_RS, *keys, least, space)
                x_RS.mul_(scale)
        return x_HRS

    def _plain_(self, x_RS: Tensor, row_keys: Tensor, column_keys: Tensor, least: int, space: Space | None) -> None:
        for part, keys in in_cache(x_RS, row_keys[:, None]):
            shape = tuple(part.shape)
            stays = self._room(space, "hash", shape, part.device)
            torch.add(keys, column_keys, out=stays)
            _mix_(stays, self._room(space, "moved", shape, part.device))
            stays.ge_(least)
            # Bits times one or nothing: torch multiplies integers by integers ten times as fast as floats by integers.
            bits = part.view(torch.int32) if part.dtype == torch.float32 else part
            bits.mul_(stays)

    def _start(self, head: int, axis: int) -> int:
        """Seed, head and axis in one number."""
        start = _mixed(self.seed & _WORD)
        for word in (self.seed >> 32, head, axis + _GOLDEN):
            start = _mixed(start ^ (word & _WORD))
        return _signed(start)

    @staticmethod
    def _room(space: Space | None, name: str, shape: tuple[int, ...], device: torch.device) -> Tensor:
        if space is not None:
            return space.take(name, shape, torch.int32)
        return torch.empty(shape, dtype=torch.int32, device=device)


def _keys(start: int, first: int, count: int, device: torch.device) -> Tensor:
    """int32 (count,): keys of the indices from `first` on."""
    keys = torch.arange(first, first + count, dtype=torch.int32, device=device)
    moved = torch.empty_like(keys)
    _last_(_mix_(keys, moved), moved)
    keys.bitwise_xor_(start)
    return _last_(_mix_(keys, moved), moved)


def _mix_(x: Tensor, moved: Tensor) -> Tensor:
    """The hash of each number, in place, but for a last step that only its lower half would feel."""
    # The shift of a signed number brings copies of the sign: they are masked away.
    x.bitwise_xor_(torch.bitwise_right_shift(x, 16, out=moved).bitwise_and_(0xFFFF))
    x.mul_(_signed(_FIRST))
    x.bitwise_xor_(torch.bitwise_right_shift(x, 15, out=moved).bitwise_and_(0x1FFFF))
    return x.mul_(_signed(_SECOND))


def _last_(x: Tensor, moved: Tensor) -> Tensor:
    return x.bitwise_xor_(torch.bitwise_right_shift(x, 16, out=moved).bitwise_and_(0xFFFF))


def _mixed(x: int) -> int:
    """The whole hash of one number without a sign."""
    x = ((x ^ (x >> 16)) * _FIRST) & _WORD
    x = ((x ^ (x >> 15)) * _SECOND) & _WORD
    return x ^ (x >> 16)


def _signed(x: int) -> int:
    return x - (1 << 32) if x >= _SIGN else x
