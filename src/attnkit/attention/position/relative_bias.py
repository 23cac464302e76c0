"""Learned biases on distance: bucketed as in T5, or one for each clipped distance."""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from attnkit.attention.init import normal
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.position.base import DistanceBias


@dataclass(frozen=True)
class RelativeBias(DistanceBias):
    """bias_hts = table_h,bucket(j_s - i_t): exact buckets for near keys, logarithmic ones up to `max_distance`.

    With n buckets a side, e = n // 2 and distance d: bucket = d for d < e, else
    min(n - 1, e + floor((n - e) ln(d / e) / ln(max_distance / e))). `bidirectional` gives half of `num_buckets` to
    each side, keys to the right in the upper half; without it n = num_buckets and keys to the right share bucket 0.

    Raises: ValueError where `num_buckets` is too small or odd for two sides, or `max_distance` not above e.
    Source: Raffel et al. (2020), Exploring the limits of transfer learning (T5), section 2.1 and their published code.
    Cost: T x S look-ups and additions a head; H x num_buckets parameters.
    """

    num_buckets: int = 32
    max_distance: int = 128
    bidirectional: bool = True

    def __post_init__(self) -> None:
        sides = 2 if self.bidirectional else 1
        require(self.num_buckets >= 2 * sides, self, "num_buckets", f"at least {2 * sides}")
        require(self.num_buckets % sides == 0, self, "num_buckets", "even where bidirectional")
        exact = self.num_buckets // sides // 2
        require(self.max_distance > exact, self, "max_distance", f"above {exact}, the distances with their own bucket")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`table`: one bias a head and bucket."""
        return {"table": ParamSpec((dims.heads, self.num_buckets), normal(0.05))}

    def by_distance(self, distance: Tensor, params: Params, heads: int, dtype: torch.dtype) -> Tensor:
        """(H, ...)."""
        buckets = _buckets(self.num_buckets, self.max_distance, self.bidirectional)
        table = needed(params, "table", self)[:, torch.tensor(buckets, device=distance.device)]
        return _looked_up(table, distance, self.max_distance).to(dtype)


@dataclass(frozen=True)
class ClippedBias(DistanceBias):
    """bias_hts = table_h,clip(j_s - i_t, -max_distance, max_distance): one learned number a head and clipped distance.

    The distances are clipped as by Shaw et al., who add a learned vector to the keys; the number in its place is the
    form of later work.

    Raises: ValueError where `max_distance` is below one.
    Source: Shaw, Uszkoreit and Vaswani (2018), Self-attention with relative position representations, section 3.2; as
        a scalar bias: Liu et al. (2021), Swin Transformer, eq. 4.
    Cost: T x S look-ups and additions a head; H x (2 max_distance + 1) parameters.
    """

    max_distance: int = 16

    def __post_init__(self) -> None:
        require(self.max_distance >= 1, self, "max_distance", "at least 1")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`table`: one bias a head and distance, the farthest key on the left first."""
        return {"table": ParamSpec((dims.heads, 2 * self.max_distance + 1), normal(0.05))}

    def by_distance(self, distance: Tensor, params: Params, heads: int, dtype: torch.dtype) -> Tensor:
        """(H, ...)."""
        return _looked_up(needed(params, "table", self), distance, self.max_distance).to(dtype)


def _looked_up(table: Tensor, distance: Tensor, reach: int) -> Tensor:
    """table (H, 2 reach + 1) at the clipped distances, as (H, *distance.shape)."""
    return table[:, distance.clamp(-reach, reach) + reach]


@lru_cache(maxsize=64)
def _buckets(num_buckets: int, max_distance: int, bidirectional: bool) -> tuple[int, ...]:
    """The bucket of each distance from -max_distance to max_distance.

    Taken in float64 with a nudge: at a boundary the logarithms of float32 may fall on either side of the integer.
    """
    side = num_buckets // 2 if bidirectional else num_buckets
    exact = side // 2

    def bucket(distance: int) -> int:
        if distance < exact:
            return distance
        step = (side - exact) * math.log(distance / exact) / math.log(max_distance / exact)
        return min(side - 1, exact + math.floor(step + 1e-9))

    left = [bucket(distance) for distance in range(max_distance, -1, -1)]
    right = [side + bucket(d) if bidirectional else 0 for d in range(1, max_distance + 1)]
    return tuple(left + right)
