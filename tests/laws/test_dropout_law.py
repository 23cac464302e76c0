"""The law of dropout: what is sound passes, and each way of being biased is found."""

import pytest
import torch
from torch import Tensor

from attnkit.attention.laws import check_attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.where import Where

LAW = "dropout is unbiased"


def sound(q: Tensor, k: Tensor, v: Tensor, where: Where, rate: float, generator: torch.Generator) -> Tensor:
    weights = Pairwise().matrix(q, k, where)
    stays = torch.rand(weights.shape, generator=generator, dtype=weights.dtype) >= rate
    return (weights * stays / (1 - rate)) @ v


def biased_in_one_value(
    q: Tensor, k: Tensor, v: Tensor, where: Where, rate: float, generator: torch.Generator
) -> Tensor:
    out = sound(q, k, v, where, rate, generator)
    return torch.cat([out[..., :1] * (1 - rate), out[..., 1:]], -1)


def idle(q: Tensor, k: Tensor, v: Tensor, where: Where, rate: float, generator: torch.Generator) -> Tensor:
    return Pairwise().mix(q, k, v, where)


def idle_but_for_one_value(
    q: Tensor, k: Tensor, v: Tensor, where: Where, rate: float, generator: torch.Generator
) -> Tensor:
    return torch.cat(
        [sound(q, k, v, where, rate, generator)[..., :1], idle(q, k, v, where, rate, generator)[..., 1:]], -1
    )


def busy_at_zero(q: Tensor, k: Tensor, v: Tensor, where: Where, rate: float, generator: torch.Generator) -> Tensor:
    return sound(q, k, v, where, max(rate, 0.1), generator)


@pytest.mark.parametrize(
    ("dropped", "status", "said"),
    [
        (sound, "passed", "standard errors"),
        (idle_but_for_one_value, "passed", "standard errors"),
        (biased_in_one_value, "failed", "standard errors from the undropped one"),
        (idle, "failed", "drops nothing"),
        (busy_at_zero, "failed", "dropout of 0 changes the result"),
    ],
)
def test_dropout(dropped, status: str, said: str) -> None:  # type: ignore[no-untyped-def]
    row = check_attention(Pairwise(), dropout=dropped)[LAW]
    assert row.status == status
    assert said in row.detail
