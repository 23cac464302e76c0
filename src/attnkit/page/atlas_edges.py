"""Which of the heaviest keys of each query a page keeps, and how they are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.page.quantize import Packed, deflate, encode, planes, relative_error

_TRIES = 6


@dataclass(frozen=True, eq=False)
class LayerEdges:
    """The edges of a layer as arrays (B, H, T, N); `first` is true for the heaviest of each query over the heads."""

    weight: NDArray[Any]
    key: NDArray[Any]
    first: NDArray[Any]

    @classmethod
    def of(cls, weight_BHTN: NDArray[Any], key_BHTN: NDArray[Any]) -> "LayerEdges":
        """Taken apart from a capture; an edge without a key or without weight is none."""
        weight = np.where(key_BHTN >= 0, np.nan_to_num(weight_BHTN.astype(np.float32)), 0)
        first = np.zeros(weight.shape, dtype=bool)
        if weight.size:
            best = np.abs(weight[..., 0]).argmax(1, keepdims=True)
            np.put_along_axis(first[..., 0], best, True, axis=1)
        return cls(weight, key_BHTN.astype(np.int64), first & (weight != 0))

    def packed(self, least: float, bits: int, guarantee: bool, level: int = 6) -> Packed:
        """Those of at least the weight `least` (in magnitude), and the first of each query where `guarantee` says so.

        The bytes are how many edges each query of (B, H, T) has, the keys in byte planes (as distances from the query
        where that is shorter), and the weights as `encode` writes them.
        """
        keep = (np.abs(self.weight) >= least) & (self.weight != 0)
        if guarantee:
            keep |= self.first
        weight, key = self.weight[keep], self.key[keep]
        signed = bool(weight.size) and bool(weight.min() < 0)
        query = np.broadcast_to(np.arange(keep.shape[2])[:, None], keep.shape)[keep]
        width = np.uint16 if key.size == 0 or max(int(key.max()), keep.shape[2]) < 65536 else np.uint32
        count = keep.sum(-1).astype(np.uint8)
        data, meta = encode(weight, bits, log=not signed)
        forms = []
        for relative in (False, True):
            codes = ((key - query) if relative else key).astype(np.int64) & np.iinfo(width).max
            forms.append((deflate(count.tobytes() + planes(codes.astype(width)) + data, level), relative))
        packed, relative = min(forms, key=lambda form: len(form[0]))
        error = 0.0 if bits == 32 or not weight.size else _error(weight, bits, signed)
        return Packed(
            packed,
            {
                "shape": list(count.shape),
                "edges": int(keep.sum()),
                "key_bytes": np.dtype(width).itemsize,
                "relative": relative,
                "weights": meta,
                "error": error,
            },
        )

    def count(self) -> int:
        """How many edges the capture holds."""
        return int((self.weight != 0).sum())


@dataclass(frozen=True)
class KeptEdges:
    """The edges of a page's layers (None where a layer has none or there was no room), and what was left out."""

    layers: list[Packed | None]
    said: str | None
    size: int


def keep_edges(layers: Sequence[LayerEdges | None], room: int) -> KeptEdges:
    """As many of the layers' edges as fit `room` bytes: all of them exactly, else in 16 bits, else the heaviest in 8.

    Where not all fit, the heaviest of each query in each layer comes first, then the heaviest of all.
    Cost: some six encodings of the edges.
    """
    there = [one for one in layers if one is not None]
    total = sum(one.count() for one in there)
    if not total:
        return KeptEdges([None] * len(layers), None, 0)
    for bits in (32, 16):
        if total * bits / 8 < 16 * room:
            tried = _pack(layers, 0.0, bits, False)
            if tried.size <= room:
                said = None if bits == 32 else f"Weights of single pairs are rounded to {_share(_worst(tried))}."
                return KeptEdges(tried.layers, said, tried.size)
    guarantee = _pack(layers, np.inf, 8, True).size <= room
    weights = np.sort(np.concatenate([np.abs(one.weight[one.weight != 0]) for one in there]))[::-1]
    fits, fails, best = 0, len(weights), _pack(layers, np.inf, 8, guarantee)
    least, guess = np.inf, min(len(weights) - 1, room // 3)
    for _ in range(_TRIES):
        tried = _pack(layers, float(weights[guess]), 8, guarantee)
        if tried.size <= room:
            fits, best, least = guess, tried, float(weights[guess])
        else:
            fails = guess
        scaled = int(guess * room / max(tried.size, 1) * 0.99)
        guess = scaled if fits < scaled < fails else (fits + fails) // 2
        if guess in (fits, fails):
            break
    kept = sum(one.meta["edges"] for one in best.layers if one)
    if not kept or best.size > room:
        return KeptEdges([None] * len(layers), f"None of the {total:,} captured edges fitted into this page.", 0)
    last = _pack(layers, least, 8, guarantee, level=9)
    how = f"all of weight {least:.2g} or more" if least < np.inf else "none by weight alone"
    also = ", and for each token the heaviest of each layer" if guarantee else ""
    said = (
        f"{kept:,} of the {total:,} captured edges ({kept / total:.1%}) fitted into this page: {how}{also}. "
        f"Their weights are rounded to {_share(_worst(last))}."
    )
    return KeptEdges(last.layers, said, last.size)


def _pack(layers: Sequence[LayerEdges | None], least: float, bits: int, guarantee: bool, level: int = 6) -> KeptEdges:
    packed = [one.packed(least, bits, guarantee, level) if one else None for one in layers]
    return KeptEdges(packed, None, sum(len(one.data) for one in packed if one))


def _error(weight: NDArray[Any], bits: int, signed: bool) -> float:
    magnitude = np.abs(weight)
    if signed:
        return float((weight.max() - weight.min()) / (2 ** (bits + 1) - 2) / max(magnitude.max(), 1e-30))
    return relative_error(float(magnitude.min()), float(magnitude.max()), bits)


def _worst(kept: KeptEdges) -> float:
    return max((one.meta["error"] for one in kept.layers if one), default=0.0)


def _share(error: float) -> str:
    return f"within {max(error, 1e-6) * 100:.2g} %"
