"""Location-based score."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import normal
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.position.limits import refuse_beyond
from attnkit.attention.score.base import Score
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Location(Score):
    """scores_ts = w_j . q_t, j the position of key s: the query alone says where to look, keys are not read.

    w (max_keys, D) is learned a head and begins with entries of standard deviation 1 / sqrt(D).

    Raises: ValueError where `max_keys` is below one, or where a key's position is negative or reaches it.
    Source: Luong, Pham and Manning (2015), Effective approaches to attention-based NMT, eq. 8, "location".
    Cost: T x S x D multiply-adds a head; H x max_keys x D parameters.
    """

    max_keys: int = 512

    def __post_init__(self) -> None:
        require(self.max_keys >= 1, self, "max_keys", "at least 1")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`w`: one row a head and key position."""
        spread = 1.0 / math.sqrt(dims.width)
        return {"w": ParamSpec((dims.heads, self.max_keys, dims.width), normal(spread))}

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        """scores_BHTS."""
        return q_BHTD @ self.rows(where.key_position, params, q_BHTD.dtype).transpose(-1, -2)

    def rows(self, position_BS: Tensor, params: Params, dtype: torch.dtype) -> Tensor:
        """w at each key's position, (H, S, D) or (B, H, S, D)."""
        refuse_beyond(position_BS, self, "max_keys")
        rows = needed(params, "w", self).to(dtype)[:, position_BS]
        return rows.transpose(0, 1) if position_BS.dim() == 2 else rows

    @property
    def order_free(self) -> bool:
        """A key is scored by where it stands."""
        return False
