"""General (multiplicative, bilinear) score."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.init import normal
from attnkit.attention.part import Dims, Params, ParamSpec, needed
from attnkit.attention.score.base import Score
from attnkit.attention.where import Where


@dataclass(frozen=True)
class General(Score):
    """scores_ts = q_t^T W k_s with a learned W (D, D) a head.

    W begins with entries of standard deviation 1/D, so that unit normal queries and keys score with variance one.

    Source: Luong, Pham and Manning (2015), Effective approaches to attention-based NMT, section 3.1, "general".
    Cost: T x D x D + T x S x D multiply-adds a head; H x D x D parameters.
    """

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`w`: one matrix a head, query side first."""
        return {"w": ParamSpec((dims.heads, dims.width, dims.width), normal(1.0 / dims.width))}

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        """scores_BHTS."""
        w = needed(params, "w", self).to(q_BHTD.dtype)
        return (q_BHTD @ w) @ k_BHSD.transpose(-1, -2)
