"""Arrays as few bytes: codes of 8 or 16 bits between a lowest and a highest value, in byte planes, deflated."""

import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

_DECADES = {8: 1e-4, 16: 1e-8}


@dataclass(frozen=True)
class Packed:
    """Deflated bytes, and what a reader must know to undo them."""

    data: bytes
    meta: dict[str, Any] = field(default_factory=dict)


def deflate(data: bytes, level: int = 6) -> bytes:
    """`data` in zlib's format, which browsers undo with DecompressionStream("deflate")."""
    return zlib.compress(data, level)


def planes(codes: NDArray[Any]) -> bytes:
    """The lowest bytes of all codes, then their next bytes, and so on: like stands beside like, and deflates better."""
    width = codes.dtype.itemsize
    little = np.ascontiguousarray(codes.ravel(), dtype=codes.dtype.newbyteorder("<"))
    return little.view(np.uint8).reshape(-1, width).T.tobytes()


def encode(values: NDArray[Any], bits: int, *, log: bool = False, groups: int = 1) -> tuple[bytes, dict[str, Any]]:
    """(bytes, meta) of an array; `groups` equal parts, in order, have a range each.

    With 32 bits the numbers are kept exactly, as float32. With 16 or 8 they are rounded to codes c of 0 to C:
    lo + (hi - lo) c / C, or, with `log`, 0 where c is 0 and lo (hi / lo)^((c - 1) / (C - 1)) elsewhere, which takes
    nonnegative numbers only and rounds what is under hi * 1e-8 (16 bits) or hi * 1e-4 (8) to lo or to 0.

    Raises: ValueError where `log` meets a negative number, or `bits` is none of 8, 16, 32.
    """
    if bits not in (8, 16, 32):
        raise ValueError(f"bits must be 8, 16 or 32 and is {bits}")
    clean = np.nan_to_num(np.asarray(values, dtype=np.float64), nan=0.0, posinf=3e38, neginf=-3e38)
    meta: dict[str, Any] = {"shape": list(values.shape), "bits": bits, "groups": groups, "kind": "exact"}
    if bits == 32:
        return planes(clean.astype(np.float32)), meta
    if log and clean.size and clean.min() < 0:
        raise ValueError("a logarithmic code takes nonnegative numbers; encode these with log=False")
    parts = clean.reshape(groups, -1) if clean.size else clean.reshape(groups, 0)
    top = 2**bits - 1
    meta["kind"] = "log" if log else "linear"
    codes, low, high = _log_codes(parts, top, bits) if log else _linear_codes(parts, top)
    ranges = np.stack([low, high]).astype("<f4").tobytes()
    return ranges + planes(codes.astype(np.uint8 if bits == 8 else np.uint16)), meta


def pack(values: NDArray[Any], bits: int, *, log: bool = False, groups: int = 1, level: int = 6) -> Packed:
    """An array encoded and deflated."""
    data, meta = encode(values, bits, log=log, groups=groups)
    return Packed(deflate(data, level), meta)


def relative_error(low: float, high: float, bits: int) -> float:
    """The largest relative error that a logarithmic code between `low` and `high` makes."""
    if not 0 < low < high:
        return 0.0
    return float((high / low) ** (0.5 / (2**bits - 2)) - 1)


def _linear_codes(parts: NDArray[Any], top: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    if parts.shape[1] == 0:
        return parts, np.zeros(len(parts)), np.zeros(len(parts))
    low, high = parts.min(1).astype(np.float32), parts.max(1).astype(np.float32)
    width = (high.astype(np.float64) - low)[:, None]
    share = np.divide(parts - low[:, None], width, out=np.zeros_like(parts), where=width > 0)
    return np.rint(share.clip(0, 1) * top), low, high


def _log_codes(parts: NDArray[Any], top: int, bits: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    high = parts.max(1, initial=0.0)
    floor = np.maximum(high * _DECADES[bits], 1e-30)
    smallest = np.where(parts > 0, parts, np.inf).min(1, initial=np.inf)
    low = np.minimum(np.maximum(smallest, floor), np.maximum(high, 1e-30))
    span = np.log(np.maximum(high, 1e-30) / low)
    ratio = np.log(np.maximum(parts, 1e-45) / low[:, None])
    share = np.divide(ratio, span[:, None], out=np.zeros_like(parts), where=span[:, None] > 0)
    codes = 1 + np.rint(share.clip(0, 1) * (top - 1))
    return np.where(parts * 2 < low[:, None], 0, codes), low, high
