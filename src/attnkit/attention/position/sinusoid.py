"""Sinusoidal positions."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.part import Params, require
from attnkit.attention.position.angles import angles, precise
from attnkit.attention.position.base import Position


@dataclass(frozen=True)
class Sinusoid(Position):
    """turn(x)_p = x_p + P_p, P_p,2m = sin(p / base^(2m / D)), P_p,2m+1 = cos(p / base^(2m / D)).

    Queries and keys get the same wave, in every head; with an odd width the last entry is a sine.

    Raises: ValueError where `base` is not a finite number above 1.
    Source: Vaswani et al. (2017), Attention is all you need, section 3.5.
    Cost: (T + S) x D sines a head.
    """

    base: float = 10000.0

    def __post_init__(self) -> None:
        require(math.isfinite(self.base) and self.base > 1, self, "base", "a finite number above 1")

    def turn(self, x_BHLD: Tensor, position_BL: Tensor, params: Params) -> Tensor:
        """Queries or keys with the wave of their position added."""
        width = x_BHLD.shape[-1]
        theta = angles(position_BL, width, self.base, precise(x_BHLD.dtype))
        wave = torch.stack((theta.sin(), theta.cos()), dim=-1).flatten(-2)[..., :width]
        return x_BHLD + wave.to(x_BHLD.dtype)
