"""Scaled dot product."""

import math
from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import Params, require
from attnkit.attention.score.base import Score
from attnkit.attention.where import Where


@dataclass(frozen=True)
class ScaledDot(Score):
    """scores_ts = scale * (q_t . k_s), scale = 1 / sqrt(D) unless given.

    Raises: ValueError where `scale` is zero or not finite.
    Source: Vaswani et al. (2017), Attention is all you need, eq. 1.
    Cost: T x S x D multiply-adds a head.
    """

    scale: float | None = None

    def __post_init__(self) -> None:
        require(self.scale is None or (math.isfinite(self.scale) and self.scale != 0), self, "scale", "a finite number")

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        """scores_BHTS; the scale goes onto the queries, where it is cheaper than on the pairs."""
        scale = self.scale if self.scale is not None else 1.0 / math.sqrt(q_BHTD.shape[-1])
        return (q_BHTD * scale) @ k_BHSD.transpose(-1, -2)
