"""Softmax."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.normalizer.base import Normalizer, masked
from attnkit.attention.part import Params


@dataclass(frozen=True)
class Softmax(Normalizer):
    """A_ts = exp(z_ts) / sum_u exp(z_tu) over the keys u that t may see.

    Source: Bridle (1990); Bahdanau, Cho and Bengio (2015), eq. 6.
    Cost: T x S exponentials a head.
    """

    def weights(self, scores_BHTS: Tensor, allowed_BHTS: Tensor | None, params: Params) -> Tensor:
        """A_BHTS; a row without any allowed key is opened first and zeroed after, so no NaN is born.

        Hidden scores become -inf, not the lowest finite number, which a visible float16 score may well be.
        """
        if allowed_BHTS is None:
            return torch.softmax(scores_BHTS, dim=-1)
        opened = allowed_BHTS | ~allowed_BHTS.any(-1, keepdim=True)
        return torch.softmax(masked(scores_BHTS, opened), dim=-1).masked_fill(~allowed_BHTS, 0.0)
