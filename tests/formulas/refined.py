"""Drawn maps, masks and parameters on which the refinements are tried."""

import pytest
import torch

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, init_params
from attnkit.attention.pattern import Causal
from attnkit.attention.refine import (
    Convolution,
    HeadGate,
    Recurrent,
    Span,
    TalkingHeads,
    Temperature,
)
from attnkit.attention.where import Where

B, H, D = 2, 3, 4
DIMS = Dims(H, D, D)
SIZES = [(6, 6), (3, 7), (7, 4), (1, 5)]
ALL = [
    Temperature(),
    Temperature(log_length=True),
    Span(max_tokens=6, ramp_tokens=2),
    TalkingHeads(),
    TalkingHeads(weights=False),
    TalkingHeads(scores=False),
    Convolution(),
    Convolution(3, 5),
    Convolution(2, 2, causal=True),
    Recurrent(),
    HeadGate(),
]
by_name = pytest.mark.parametrize("part", ALL, ids=str)
by_size = pytest.mark.parametrize(("T", "S"), SIZES)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def kept(seed: int, L: int) -> torch.Tensor:
    keep = torch.rand((B, L), generator=torch.Generator().manual_seed(seed)) < 0.7
    keep[0, -1] = True
    return keep


def maps(seed: int, allowed: torch.Tensor, T: int, S: int) -> torch.Tensor:
    """Random rows that sum to one over the allowed pairs."""
    weights = drawn(seed, B, H, T, S).exp() * allowed
    total = weights.sum(-1, keepdim=True)
    return weights / total.masked_fill(total == 0, 1.0)


def situation(T: int, S: int, pattern=Causal()) -> tuple[Where, torch.Tensor]:  # noqa: B008
    where = Where.of(T, S, keep=kept(1, S), query_keep=kept(2, T))
    allowed = Pairwise(pattern=pattern).allowed(where)
    assert allowed is not None
    return where, allowed


def moved(part, seed: int = 9) -> dict[str, torch.Tensor]:
    """Parameters away from the identity."""
    start = init_params(part, DIMS, dtype=torch.float64)
    return {name: x + drawn(seed + n, *x.shape) for n, (name, x) in enumerate(start.items())}


def on_both(part, scores, weights, allowed, where, params, state=None):
    return (
        part.on_scores(scores, allowed, where, params, state),
        part.on_weights(weights, allowed, where, params, state),
    )
