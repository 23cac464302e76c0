"""Place: which slab of which item and heads is being computed, and who may meet whom there."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.where import Where
from attnkit.kernels.partition import Slab

# Numbers in one slab of a head, 4 MiB in float32: keys, values and their gradients pass through the cache once a slab,
# so that low slabs, which would stay in it themselves, cost more than they save.
SLAB_NUMBERS = 1 << 20
# Numbers of a slab that a step of many passes takes at a time.
CACHED_NUMBERS = 1 << 17
# What starting a slab costs, in pairs of one head, and the heights it may have.
STARTING_PAIRS = 1 << 13
HEIGHTS = (8, 16, 32, 64, 128, 256)


@dataclass(frozen=True, eq=False)
class Place:
    """Item `item`, heads `heads`, queries `rows` and keys `columns`; `core` are those of the rows that are asked for.

    `rows` are more than the core where a refinement reads neighbouring rows. `where` and `allowed_1HRS` (head axis 1 or
    H) are of these rows and columns.
    """

    item: int
    heads: slice
    rows: slice
    columns: slice
    core: slice
    where: Where
    allowed_1HRS: Tensor | None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Heads, rows and columns of the slab."""
        return (
            self.heads.stop - self.heads.start,
            self.rows.stop - self.rows.start,
            self.columns.stop - self.columns.start,
        )

    @property
    def within(self) -> slice:
        """The core, counted from the first row of the slab."""
        return slice(self.core.start - self.rows.start, self.core.stop - self.rows.start)

    def of_heads(self, x_BHLD: Tensor) -> Tensor:
        """This item's heads of a tensor, (heads, L, D)."""
        return x_BHLD[self.item, self.heads]


def places(
    spec: Pairwise,
    where: Where,
    batch: int,
    heads: int,
    slabs: tuple[Slab, ...],
    beyond: tuple[int, int],
    together: int,
) -> Iterator[Place]:
    """Every place in turn, `together` heads at a time; `beyond` are the rows read above and below a slab."""
    for item in range(batch):
        own = where.item(item)
        for slab in slabs:
            if not slab.pairs:
                continue
            rows = slice(max(0, slab.start - beyond[0]), min(where.T, slab.stop + beyond[1]))
            columns = slice(slab.first, slab.last)
            there = own.rows(rows.start, rows.stop).columns(columns.start, columns.stop)
            allowed = spec.allowed(there)
            if allowed is not None and bool(allowed.all()):
                allowed = None
            core = slice(slab.start, slab.stop)
            for first in range(0, heads, together):
                yield Place(item, slice(first, min(heads, first + together)), rows, columns, core, there, allowed)


class Space:
    """Workspaces by name: one buffer each, made once and used again for every slab."""

    def __init__(self, dtype: torch.dtype, device: torch.device) -> None:
        self.dtype, self.device = dtype, device
        self._buffers: dict[tuple[str, torch.dtype], Tensor] = {}

    def take(self, name: str, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
        """A tensor of this shape; what it held before is not kept."""
        dtype = self.dtype if dtype is None else dtype
        numbers = 1
        for size in shape:
            numbers *= size
        held = self._buffers.get((name, dtype))
        if held is None or held.numel() < numbers:
            held = self._buffers[name, dtype] = torch.empty(numbers, dtype=dtype, device=self.device)
        return held[:numbers].view(shape)


def in_cache(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same rows (..., R, S) of each tensor, few enough that many passes over them stay in a core's cache."""
    first = tensors[0]
    if first.dim() > 2:
        for index in range(first.shape[0]):
            yield from in_cache(*(x[index] for x in tensors))
    elif first.dim() < 2 or first.numel() <= CACHED_NUMBERS:
        yield tensors
    else:
        height = max(1, CACHED_NUMBERS // first.shape[-1])
        yield from zip(*(x.split(height) for x in tensors), strict=True)


def product(a_HRK: Tensor, b_HKS: Tensor, out_HRS: Tensor) -> Tensor:
    """a @ b, written into `out_HRS`, which may be part of something larger."""
    if a_HRK.shape[0] == 1:
        torch.mm(a_HRK[0], b_HKS[0], out=out_HRS[0])
    else:
        torch.bmm(a_HRK, b_HKS, out=out_HRS)
    return out_HRS


def add_product(into_HRS: Tensor, a_HRK: Tensor, b_HKS: Tensor) -> None:
    """into += a @ b, in place."""
    if a_HRK.shape[0] == 1:
        into_HRS[0].addmm_(a_HRK[0], b_HKS[0])
    else:
        into_HRS.baddbmm_(a_HRK, b_HKS)
