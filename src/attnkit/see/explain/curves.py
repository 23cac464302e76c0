"""What a prediction is worth as tokens go, or come, in the order of a ranking."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from attnkit.see.explain.target import Item, Subject, Target

# Shares of the tokens: those of DeYoung et al., and beyond them what the rest of the curves needs.
BINS = (0.01, 0.05, 0.10, 0.20, 0.50)
SHARES = (*BINS[:4], 0.35, 0.50, 0.75)


@dataclass(frozen=True)
class Measured:
    """One ranking on one text; p is the probability of the explained class (of a score: the score).

    `deletion` and `insertion` are the areas under p as tokens are taken from the whole text, or put into a blank one,
    the first of the ranking first, over the share of tokens. `comprehensiveness` is the mean over bins of p(text) -
    p(text without the top), `sufficiency` that of p(text) - p(the top alone).

    Source: Petsiuk et al. 2018, section 3.3; DeYoung et al. 2020, equations 1 to 3, with the mean over the five bins.
    """

    deletion: float
    insertion: float
    comprehensiveness: float
    sufficiency: float


@dataclass(frozen=True)
class Curve:
    """p at some shares of the tokens taken away, and put in."""

    shares: tuple[float, ...]
    deleted: tuple[float, ...]
    inserted: tuple[float, ...]


def order_of(scores: Sequence[float], item: Item, generator: torch.Generator) -> list[int]:
    """The tokens that can be taken away, the highest score first; `generator` decides among equals."""
    places = [place for place in torch.randperm(item.T, generator=generator).tolist() if item.movable[place]]
    return sorted(places, key=lambda place: -scores[place])


def curves(subject: Subject, item: Item, orders: Sequence[Sequence[int]], target: Target) -> list[Curve]:
    """The curves of each ranking (a permutation of the tokens that can be taken away), all in a few batches.

    Cost: 14 forward passes a ranking, and one; less where the text has fewer than a hundred tokens.
    """
    n = sum(item.movable)
    if n == 0:
        return [Curve((0.0, 1.0), (target.share,) * 2, (target.share,) * 2) for _ in orders]
    ids_1T, blank_1T = subject.ids_1T(item), subject.blank_1T(item)
    counts = sorted({_count(share, n) for share in SHARES} - {n})
    first_RCT = torch.stack([_first(order, counts, item.T) for order in orders]).to(ids_1T.device)
    rows = torch.stack([blank_1T.where(first_RCT, ids_1T), ids_1T.where(first_RCT, blank_1T)])
    # The blank text last: with it there is a row even where a single token leaves nothing between whole and blank.
    p = subject.shares(subject.answers(torch.cat([rows.flatten(0, 2), blank_1T])), target.index)
    p_2RC, bare = p[:-1].view(rows.shape[:3]).tolist(), float(p[-1])
    shares = (0.0, *(count / n for count in counts), 1.0)
    whole = target.share
    return [Curve(shares, (whole, *gone, bare), (bare, *come, whole)) for gone, come in zip(*p_2RC, strict=True)]


def measured(curve: Curve, n: int) -> Measured:
    """The four numbers of a ranking of `n` tokens."""
    gone, come = (dict(zip(curve.shares, of, strict=True)) for of in (curve.deleted, curve.inserted))
    whole = curve.deleted[0]
    at = [_count(share, n) / n for share in BINS] if n else [1.0]
    return Measured(
        _area(curve.shares, curve.deleted),
        _area(curve.shares, curve.inserted),
        sum(whole - gone[share] for share in at) / len(at),
        sum(whole - come[share] for share in at) / len(at),
    )


def _count(share: float, n: int) -> int:
    return max(1, math.ceil(share * n))


def _first(order: Sequence[int], counts: Sequence[int], T: int) -> Tensor:
    """(C, T), True on the first `count` tokens of the ranking, for each count."""
    rank_T = torch.full((T,), T, dtype=torch.int64)
    rank_T[torch.tensor(order, dtype=torch.int64)] = torch.arange(len(order))
    return rank_T < torch.tensor(counts, dtype=torch.int64)[:, None]


def _area(x: Sequence[float], y: Sequence[float]) -> float:
    pairs = pairwise(zip(x, y, strict=True))
    return sum((x1 - x0) * (y0 + y1) / 2 for (x0, y0), (x1, y1) in pairs)
