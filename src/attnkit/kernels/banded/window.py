"""The native window: bands that distance alone decides, in exact tiles of queries; see kernels/native/window.h."""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.where import Where
from attnkit.kernels.banded.local import Local
from attnkit.kernels.banded.masks import NONE, Masks
from attnkit.kernels.native import library, threads

# As in kernels/native/arguments.h.
_MARGIN = 64
# Queries that stand in the lanes of the widest vectors; a key within reach of one of them is scored for all.
TILE = 32
# Keys whose scores for a tile of queries still stay near the processor.
_MOST_KEYS = 4096
# Half precision is computed in float32.
_TYPES = (torch.float32, torch.bfloat16, torch.float16)
_WIDTHS = range(16, 257, 16)
_POINTER, _LONG = ctypes.c_void_p, ctypes.c_int64


class _Tensor(ctypes.Structure):
    _fields_ = [("x", _POINTER), ("item", _LONG), ("head", _LONG), ("token", _LONG)]


_TENSORS = ("q", "k", "v", "out", "log_sum", "grad", "d_q", "d_k", "d_v")
_SIZES = ("items", "heads", "queries", "keys", "offset", "behind", "ahead", "width", "biased")


class _Window(ctypes.Structure):
    _fields_ = [
        *((name, _Tensor) for name in _TENSORS),
        ("mask", _POINTER),
        ("mask_head", _LONG),
        ("keep", _POINTER),
        ("keep_item", _LONG),
        ("keep_token", _LONG),
        *((name, _LONG) for name in _SIZES),
        ("scale", ctypes.c_float),
    ]


@dataclass(frozen=True)
class Tiled:
    """A band in the loop's terms: each query meets keys from `behind` strides before it to `ahead` strides after it."""

    local: Local
    behind: int
    ahead: int
    loops: ctypes.CDLL

    @property
    def keys(self) -> int:
        """Keys in reach of one query."""
        return self.behind + self.ahead + 1

    def pairs(self, T: int, S: int) -> int:
        """Pairs scored, a head."""
        return T * min(self.keys + TILE - 1, S)

    def forward(self, given: dict[str, Tensor], masks: Masks, scale: float) -> None:
        """`out` and `log_sum` of q, k and v, (B, H, tokens, width or 1), for all queries that are not anchors."""
        for window, _held in self._windows(given, masks, scale):
            self.loops.attnkit_window(ctypes.byref(window), threads())

    def backward(self, given: dict[str, Tensor], masks: Masks, scale: float) -> None:
        """`d_q` for all queries that are not anchors, and what they add to `d_k` and `d_v`."""
        for window, _held in self._windows(given, masks, scale):
            self.loops.attnkit_window_backward(ctypes.byref(window), threads())

    def _windows(self, given: dict[str, Tensor], masks: Masks, scale: float) -> Iterator[tuple[_Window, list[Tensor]]]:
        """The loop's arguments for each residue, with the tensors that must live as long."""
        local, stride = self.local, self.local.dilation
        items, heads, T, width = given["q"].shape
        S = given["k"].shape[2]
        mask, biased = self._mask(masks)
        first_query = max(masks.offset, local.anchors) if local.anchors else masks.offset
        for residue in range(stride):
            query = first_query + (residue - first_query) % stride - masks.offset
            key = local.anchors + (residue - local.anchors) % stride
            if query >= T:
                continue
            window, held = _Window(), [mask]
            for name, x in given.items():
                part = x[:, :, (key if name in ("k", "v", "d_k", "d_v") else query) :: stride]
                held.append(part)
                setattr(window, name, _Tensor(part.data_ptr(), *part.stride()[:3]))
            if masks.keep is not None:
                keep = masks.keep[:, key::stride]
                held.append(keep)
                window.keep, window.keep_token = keep.data_ptr(), keep.stride(1)
                window.keep_item = keep.stride(0) if keep.shape[0] > 1 else 0
            window.mask, window.mask_head = mask.data_ptr(), mask.stride(0) if mask.shape[0] > 1 else 0
            queries, keys = len(range(query, T, stride)), len(range(key, S, stride))
            window.items, window.heads, window.queries, window.keys = items, heads, queries, keys
            # The last query and the last key of a residue are one token.
            window.offset, window.behind, window.ahead = keys - queries, self.behind, self.ahead
            window.width, window.biased, window.scale = width, biased, scale
            yield window, held

    def _mask(self, masks: Masks) -> tuple[Tensor, bool]:
        """What is added at each distance i - j, (1 or H, keys + 2 margins), and whether any is other than zero."""
        i = torch.arange(-self.ahead, self.behind + 1) * self.local.dilation
        where = Where(i, torch.zeros(1, dtype=torch.int64))
        allowed = self.local.band.allowed(where.i, where.j, where).reshape(1, -1)
        inner = torch.zeros(1, self.keys)
        if masks.bias is not None:
            inner = masks.bias.by_distance(-i, masks.params, masks.heads, torch.float32)
        inner = inner.masked_fill(~allowed, NONE)
        return torch.nn.functional.pad(inner, (_MARGIN, _MARGIN), value=NONE).contiguous(), bool(inner.any())


def tiled(local: Local, width: int, dtype: torch.dtype, device: str) -> Tiled | None:
    """The band as the native loop takes it; None where it does not, or where there is none."""
    loops = library()
    if loops is None or device != "cpu" or dtype not in _TYPES or width not in _WIDTHS or local.period != 1:
        return None
    low, high = local.reach(0, 0)
    found = Tiled(local, max(0, -low // local.dilation), max(0, high // local.dilation), loops)
    return found if found.keys <= _MOST_KEYS else None
