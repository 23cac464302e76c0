"""Rotary positions."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.part import Dims, Params, ParamSpec, require
from attnkit.attention.position.angles import angles, precise
from attnkit.attention.position.base import Position


@dataclass(frozen=True)
class Rotary(Position):
    """turn(x)_p: each pair (a, b) of entries becomes (a cos t - b sin t, a sin t + b cos t), t = p * base^(-2m / D).

    Pair m is (x_m, x_{m + D/2}), the half-split order of GPT-NeoX and Llama; with `interleaved` it is
    (x_2m, x_{2m+1}), the order of the paper. The two give the same scores up to a permutation of the width.

    Raises: ValueError where `base` is not a finite number above 1, or where the head width is odd.
    Source: Su et al. (2021), RoFormer, eq. 15 and 34; the half-split order: Black et al. (2022), GPT-NeoX-20B.
    Cost: 2 x (T + S) x D multiply-adds a head.
    """

    base: float = 10000.0
    interleaved: bool = False

    def __post_init__(self) -> None:
        require(math.isfinite(self.base) and self.base > 1, self, "base", "a finite number above 1")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """Nothing is learned; an odd width is refused here already, before any row comes."""
        self._even(dims.width)
        return {}

    def turn(self, x_BHLD: Tensor, position_BL: Tensor, params: Params) -> Tensor:
        """Queries or keys, each pair of entries rotated by the angle of its position."""
        width = x_BHLD.shape[-1]
        self._even(width)
        theta = angles(position_BL, width, self.base, precise(x_BHLD.dtype))
        x = x_BHLD.to(theta.dtype)
        a, b = (x[..., 0::2], x[..., 1::2]) if self.interleaved else x.chunk(2, dim=-1)
        turned = (a * theta.cos() - b * theta.sin(), a * theta.sin() + b * theta.cos())
        joined = torch.stack(turned, dim=-1).flatten(-2) if self.interleaved else torch.cat(turned, dim=-1)
        return joined.to(x_BHLD.dtype)

    def _even(self, width: int) -> None:
        if width % 2:
            raise ValueError(f"Rotary turns pairs of entries and got the head width {width}; give an even width")
