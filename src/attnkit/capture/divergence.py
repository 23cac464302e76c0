"""Divergence: how far the rows of two maps are apart, between 0 and 1."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from attnkit.capture.captured import Pooled
from attnkit.capture.sweep_rows import map_rows
from attnkit.kernels.functionals import wide_call
from attnkit.layers.taps import Seen

# Numbers of rows made at once, of all items and heads of one map: 4 MiB in float32.
ROW_NUMBERS = 1 << 20


def jensen_shannon(a: Tensor, b: Tensor) -> Tensor:
    """JSD(p, q) / ln 2 along the last axis, p = a / sum a and q = b / sum b: 0 where equal, 1 where nothing is shared.

    JSD(p, q) = (KL(p, m) + KL(q, m)) / 2 = sum m ((1 + d) ln(1 + d) + (1 - d) ln(1 - d)) / 2 with m = (p + q) / 2 and
    d = |p - q| / (p + q): terms that are never negative, and small where rows are alike. Where both rows are zero
    it is 0, where one is, 1. Added up in float64.

    Source: Lin (1991), Divergence measures based on the Shannon entropy, eq. 4.1.
    """
    total_a, total_b = a.sum(-1, keepdim=True), b.sum(-1, keepdim=True)
    p, q = (x / total.masked_fill(total == 0, 1.0) for x, total in ((a, total_a), (b, total_b)))
    both = p + q
    d = (p - q).abs_().div_(both.clamp(min=torch.finfo(both.dtype).tiny)).clamp_(max=1.0)
    # Where nothing is shared, ln(1 - d) is infinite and counts for nothing.
    less = (-d).log1p_().clamp_(min=-100.0).mul_(1.0 - d)
    apart = d.log1p().mul_(1.0 + d).add_(less).mul_(both).sum(-1, dtype=torch.float64) / (4.0 * math.log(2.0))
    alone = ((total_a == 0) != (total_b == 0)).squeeze(-1)
    return apart.clamp(0.0, 1.0).masked_fill(alone, 1.0)


def row_divergences(first: Seen, others: Sequence[Seen]) -> list[Tensor]:
    """JSD / ln 2 between the exact rows of `first` and of each other, (B, H, T) in float64; no map.

    Raises: ValueError where their shapes differ.
    Cost: the rows of each map once, and 2 logarithms a pair, head and other map.
    """
    B, H, T, _ = first.q_BHTD.shape
    S = first.where.S
    for other in others:
        shape = (*other.q_BHTD.shape[:3], other.where.S)
        if shape != (B, H, T, S):
            raise ValueError(f"maps (B, H, T, S) of {(B, H, T, S)} and {shape} have no rows in common")
    found = [torch.zeros(B, H, T, dtype=torch.float64, device=first.q_BHTD.device) for _ in others]
    together = max(1, ROW_NUMBERS // max(1, B * H * S))
    with torch.no_grad(), torch.autocast(first.q_BHTD.device.type, enabled=False):
        for index in torch.arange(T, device=first.q_BHTD.device).split(together):
            rows = _rows(first, index)
            for out, other in zip(found, others, strict=True):
                out[:, :, index] = jensen_shannon(rows, _rows(other, index).to(rows.device))
    return found


def pooled_divergences(first: Pooled, others: Sequence[Pooled]) -> list[Tensor]:
    """JSD / ln 2 between the rows of pooled maps, (B, H, R): never more than that of the rows they stand for.

    Raises: ValueError where blocks have different sizes.
    """
    for other in others:
        sizes = [(one.query_tokens, one.key_tokens, *one.mass_BHRC.shape) for one in (first, other)]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"pooled maps of blocks of {sizes[0][0]} x {sizes[0][1]} and {sizes[1][0]} x {sizes[1][1]} tokens have "
                "no rows in common; record both with the same `blocks`"
            )
    return [jensen_shannon(first.mass_BHRC, other.mass_BHRC) for other in others]


def _rows(seen: Seen, index: Tensor) -> Tensor:
    call = wide_call(seen.q_BHTD, seen.k_BGSD, seen.where, seen.params, seen.state)
    return map_rows(seen.spec, call, index)
