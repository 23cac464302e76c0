"""ALiBi: a linear penalty on distance."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import ones
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.position.angles import precise
from attnkit.attention.position.base import DistanceBias


@dataclass(frozen=True)
class Alibi(DistanceBias):
    """bias_hts = -slope_h |i_t - j_s|, slope_h the geometric sequence of the paper unless `slope` is given.

    For H a power of two slope_h = 2^(-8 h / H), h = 1..H; else the slopes of the power of two P below H, followed by
    the first, third, fifth ... slope for 2P heads. With `learned` each head multiplies its slope by a gain that
    begins at one. The penalty is symmetric, so it serves without a causal pattern too.

    Raises: ValueError where `slope` is not a finite number above 0.
    Source: Press, Smith and Lewis (2022), Train short, test long, section 3; other H: their published code.
    Cost: T x S multiply-adds a head.
    """

    slope: float | None = None
    learned: bool = False

    def __post_init__(self) -> None:
        good = self.slope is None or (math.isfinite(self.slope) and self.slope > 0)
        require(good, self, "slope", "a finite number above 0")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`gain`: one factor a head, where slopes are learned."""
        return {"gain": ParamSpec((dims.heads,), ones)} if self.learned else {}

    def by_distance(self, distance: Tensor, params: Params, heads: int, dtype: torch.dtype) -> Tensor:
        """(H, ...)."""
        exact = precise(dtype)
        slopes = alibi_slopes(heads) if self.slope is None else (self.slope,) * heads
        slope = torch.tensor(slopes, dtype=exact, device=distance.device)
        if self.learned:
            slope = slope * needed(params, "gain", self).to(exact)
        return (-slope.view(-1, *(1,) * distance.dim()) * distance.abs().to(exact)).to(dtype)


def alibi_slopes(heads: int) -> tuple[float, ...]:
    """The slopes of the paper for any number of heads, steepest first within each geometric sequence."""
    power = 2 ** (heads.bit_length() - 1)
    slopes = [2.0 ** (-8.0 * h / power) for h in range(1, power + 1)]
    between = [2.0 ** (-8.0 * h / (2 * power)) for h in range(1, 2 * power + 1, 2)]
    return tuple(slopes + between[: heads - power])
