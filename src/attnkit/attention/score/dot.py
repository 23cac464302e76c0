"""Dot product."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import Params
from attnkit.attention.score.base import Score
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Dot(Score):
    """scores_ts = q_t . k_s.

    Source: Luong, Pham and Manning (2015), Effective approaches to attention-based NMT, section 3.1, "dot".
    Cost: T x S x D multiply-adds a head.
    """

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        """scores_BHTS."""
        return q_BHTD @ k_BHSD.transpose(-1, -2)
