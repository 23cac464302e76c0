"""Softmax over the k largest scores."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.normalizer.base import Normalizer, masked
from attnkit.attention.normalizer.softmax import Softmax
from attnkit.attention.part import Params, require


@dataclass(frozen=True)
class TopK(Normalizer):
    """A_ts = exp(z_ts) / sum_{u in K_t} exp(z_tu) for s in K_t, else 0; K_t are the k largest visible scores of t.

    Of equal scores the earlier key goes first, so there are never more than k. Gradients flow through the k alone.

    Raises: ValueError where `k` is below one.
    Source: Zhao et al. (2019), Explicit sparse transformer, eq. 3 to 5; Gupta et al. (2021), Memory-efficient
        transformers via top-k attention.
    Cost: a sort of S scores and T x S exponentials a head.
    """

    k: int = 8

    def __post_init__(self) -> None:
        require(self.k >= 1, self, "k", "at least 1")

    def weights(self, scores_BHTS: Tensor, allowed_BHTS: Tensor | None, params: Params) -> Tensor:
        """A_BHTS."""
        order = masked(scores_BHTS.detach(), allowed_BHTS).sort(dim=-1, descending=True, stable=True).indices
        rank = torch.arange(scores_BHTS.shape[-1], device=order.device).expand_as(order)
        chosen = torch.empty_like(order).scatter(-1, order, rank) < self.k
        return Softmax().weights(scores_BHTS, chosen if allowed_BHTS is None else chosen & allowed_BHTS, params)
