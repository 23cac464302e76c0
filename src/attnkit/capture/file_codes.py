"""Tensors as bytes and back: short floats, 256 levels a head, whole numbers as narrow as they go."""

import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

How = Literal["exact", "short", "levels"]

# What stands in a file, always the little end first.
RAW = {
    "float16": "<f2",
    "float32": "<f4",
    "float64": "<f8",
    "int8": "<i1",
    "int16": "<i2",
    "int32": "<i4",
    "int64": "<i8",
    "bool": "|u1",
}
# x = low + (high - low) (code / 255)^power, with a low and a high for each head; powers spend levels on what is small.
LEVELS = {"levels1": 1, "levels2": 2, "levels4": 4}
DTYPES = {
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
    "float32": torch.float32,
    "float64": torch.float64,
    "int64": torch.int64,
    "bool": torch.bool,
}
_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_NARROW = ("int8", "int16", "int32", "int64")
SHORT_ERROR = 1e-3
MOST_DIMS = 8
MOST_NUMBERS = 2**40
DEFLATE = 6


@dataclass(frozen=True)
class Coded:
    """A tensor as it stands in a file: `content` by `coding`, which gives numbers of `dtype` and `shape` again."""

    coding: str
    shape: tuple[int, ...]
    dtype: str
    content: bytes
    squeezed: bool = True

    @cached_property
    def bytes_in_file(self) -> int:
        """What the content takes in a zip, without its entry."""
        if not self.squeezed:
            return len(self.content)
        packer = zlib.compressobj(DEFLATE, zlib.DEFLATED, -15)
        return len(packer.compress(self.content)) + len(packer.flush())

    def table(self) -> dict[str, Any]:
        """The line of the array in the manifest."""
        return {"coding": self.coding, "shape": list(self.shape), "dtype": self.dtype}


def coded(x: Tensor, how: How, dtype: torch.dtype | None = None, squeezed: bool = True) -> Coded:
    """`x` as bytes, to come back as `dtype` (its own where None).

    "exact" keeps every bit; whole numbers take the fewest bytes that hold them. "short" keeps floats within 1e-3 of
    themselves: as float16 where all of them fit, else as float32 rounded to eleven bits, so that small ones stay.
    "levels" keeps 256 of them a head, within half a level; where numbers are not finite it is "short".
    """
    x = x.detach().cpu()
    if x.dtype not in _NAMES:
        x = x.float() if x.is_floating_point() else x.long()
    name = _NAMES[dtype or x.dtype]
    shape = tuple(x.shape)
    if not x.is_floating_point():
        coding, content = _whole(x.numpy())
        return Coded(coding, shape, name, content, squeezed)
    values = (x.float() if x.dtype == torch.bfloat16 else x).numpy()
    if how == "levels" and values.size and np.isfinite(values).all():
        coding, content = _leveled(values)
    elif how == "exact":
        coding = str(values.dtype)
        content = values.astype(RAW[coding]).tobytes()
    else:
        coding, content = _short(values)
    return Coded(coding, shape, name, content, squeezed)


def _whole(values: Any) -> tuple[str, bytes]:
    if values.dtype == np.bool_:
        return "bool", values.astype(RAW["bool"]).tobytes()
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    coding = next(name for name in _NARROW if np.iinfo(name).min <= low and high <= np.iinfo(name).max)
    return coding, values.astype(RAW[coding]).tobytes()


def _short(values: Any) -> tuple[str, bytes]:
    with np.errstate(over="ignore", invalid="ignore"):
        half = values.astype("<f2")
        wide = half.astype(values.dtype)
        same = (wide == values) | (np.isnan(wide) & np.isnan(values))
        if bool((same | (np.abs(wide - values) <= SHORT_ERROR * np.abs(values))).all()):
            return "float16", half.tobytes()
        single = np.ascontiguousarray(values, dtype="<f4")
        rounded = ((single.view("<u4") + 0x1000) & 0xFFFFE000).view("<f4")
    return "float32", np.where(np.isfinite(single) & np.isfinite(rounded), rounded, single).astype("<f4").tobytes()


def _leveled(values: Any) -> tuple[str, bytes]:
    heads = heads_of(values.shape)
    flat = values.reshape(heads, -1).astype(np.float64)
    close = np.abs(flat).mean(-1, keepdims=True) * 1e-2 + 1e-30
    found: list[tuple[float, str, bytes]] = []
    for name, power in LEVELS.items():
        if power > 1 and flat.min() < 0:
            break
        low = (flat.min(-1, keepdims=True) if power == 1 else np.zeros((heads, 1))).astype("<f4")
        high = np.maximum(flat.max(-1, keepdims=True).astype("<f4"), low)
        width = np.maximum(high.astype(np.float64) - low, 1e-300)
        codes = np.rint((((flat - low) / width).clip(0.0, 1.0) ** (1.0 / power)) * 255).astype(np.uint8)
        back = _from_levels(codes, low, high, power)
        error = float((np.abs(back - flat) / (np.abs(flat) + close)).mean())
        found.append((error, name, low.tobytes() + high.tobytes() + codes.tobytes()))
    _, coding, content = min(found, key=lambda one: one[0])
    return coding, content


def _from_levels(codes: Any, low: Any, high: Any, power: int) -> Any:
    share = (np.arange(256, dtype=np.float64) / 255) ** power
    table = (low + (high.astype(np.float64) - low) * share).astype(np.float32)
    out = np.empty(codes.shape, dtype=np.float32)
    for head, levels in enumerate(table):
        out[head] = levels[codes[head]]
    return out


def heads_of(shape: tuple[int, ...]) -> int:
    """How many ranges an array of levels has: one an item and head where it has both, else one."""
    return shape[0] * shape[1] if len(shape) > 2 else 1


def checked_table(plain: Any) -> tuple[str, tuple[int, ...], str]:
    """Coding, shape and type of a line of the manifest.

    Raises: ValueError where one of them is none that there is, or the shape is out of bounds.
    """
    if not isinstance(plain, Mapping) or set(plain) != {"coding", "shape", "dtype"}:
        raise ValueError("an array must be said by coding, shape and dtype")
    coding, shape, dtype = plain["coding"], plain["shape"], plain["dtype"]
    if not isinstance(coding, str) or coding not in RAW.keys() | LEVELS.keys():
        raise ValueError(f"there is no coding {_said(coding)}")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"there is no number type {_said(dtype)}")
    if not isinstance(shape, list) or len(shape) > MOST_DIMS or any(type(n) is not int or n < 0 for n in shape):
        raise ValueError(f"a shape must be at most {MOST_DIMS} whole numbers from 0; got {_said(shape)}")
    if math.prod(max(n, 1) for n in shape) > MOST_NUMBERS:
        raise ValueError(f"an array of shape {_said(shape)} is larger than any capture")
    floats = DTYPES[dtype].is_floating_point
    if (coding == "bool") != (dtype == "bool") or floats != (coding in LEVELS or coding.startswith("float")):
        raise ValueError(f"numbers of type {dtype} do not stand in coding {coding}")
    return coding, tuple(shape), dtype


def _said(value: Any) -> str:
    words = repr(value)
    return words if len(words) <= 60 else words[:57] + "..."


def bytes_of(coding: str, shape: tuple[int, ...]) -> int:
    """The length of the content of an array."""
    numbers = math.prod(shape)
    return numbers + 8 * heads_of(shape) if coding in LEVELS else numbers * np.dtype(RAW[coding]).itemsize


def bytes_decoded(shape: tuple[int, ...], dtype: str) -> int:
    """What the array takes in memory."""
    return math.prod(shape) * DTYPES[dtype].itemsize


def decoded(coding: str, shape: tuple[int, ...], dtype: str, content: bytes) -> Tensor:
    """The tensor that `coded` was given, as near as the coding keeps it.

    Raises: ValueError where the content is not as long as the shape says, or a range is not finite.
    """
    if len(content) != bytes_of(coding, shape):
        raise ValueError(f"an array of shape {shape} has {len(content)} bytes, not {bytes_of(coding, shape)}")
    if coding in LEVELS:
        heads = heads_of(shape)
        ranges = np.frombuffer(content, "<f4", 2 * heads).reshape(2, heads, 1)
        if not np.isfinite(ranges).all() or (ranges[0] > ranges[1]).any():
            raise ValueError("the range of a head's levels is not finite, or ends before it begins")
        codes = np.frombuffer(content, np.uint8, offset=8 * heads).reshape(heads, math.prod(shape) // max(heads, 1))
        values = _from_levels(codes, ranges[0], ranges[1], LEVELS[coding])
    else:
        values = np.frombuffer(content, RAW[coding])
        if coding == "bool" and values.size and values.max() > 1:
            raise ValueError("a mask holds more than 0 and 1")
    native = values.astype(values.dtype.newbyteorder("="))
    return torch.from_numpy(native).to(DTYPES[dtype]).reshape(shape)
