"""Sparsemax."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.normalizer.base import Normalizer, below_top, exact
from attnkit.attention.part import Params


@dataclass(frozen=True)
class Sparsemax(Normalizer):
    """A_ts = max(z_ts - tau_t, 0), tau_t such that the row sums to one: the nearest point of the simplex to the row.

    Source: Martins and Astudillo (2016), From softmax to sparsemax, eq. 2 and algorithm 1.
    Cost: a sort of S scores and T x S additions a head.
    """

    def weights(self, scores_BHTS: Tensor, allowed_BHTS: Tensor | None, params: Params) -> Tensor:
        """A_BHTS."""
        return sparsemax(scores_BHTS, allowed_BHTS)


def sparsemax(scores_BHTS: Tensor, allowed_BHTS: Tensor | None) -> Tensor:
    """The support from sorted scores, without gradient; on it the closed form, so derivatives of any order are exact.

    No score more than one below the top is ever in the support, so scores are cut there before they are added up.
    """
    z = below_top(exact(scores_BHTS), allowed_BHTS)
    ranked = z.detach().clamp(min=-1.0).sort(-1, descending=True).values
    rank = torch.ones_like(ranked).cumsum(-1)
    size = (1.0 + rank * ranked > ranked.cumsum(-1)).sum(-1, keepdim=True)
    last = ranked.gather(-1, size - 1)
    support = z.detach() >= last
    z = z.masked_fill(~support, 0.0)
    tau = (z.sum(-1, keepdim=True) - 1.0) / support.sum(-1, keepdim=True).clamp(min=1)
    # The sort added the row up in another order than the sum did, so the smallest may round to below zero.
    weights = (z - tau).clamp(min=0.0).masked_fill(~support, 0.0)
    if allowed_BHTS is not None:
        weights = weights.masked_fill(~allowed_BHTS, 0.0)
    return weights.to(scores_BHTS.dtype)
