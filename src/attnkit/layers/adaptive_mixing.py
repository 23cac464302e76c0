"""Adaptive mixing: a per-feature gate between the mean of the sequence and the centered token."""

import torch
from torch import Tensor, nn


class AdaptiveMixing(nn.Module):
    """out_t = g * mean(x) + (1 - g) * tanh(x_t - mean(x)), with g = sigmoid(logit), one logit a feature.

    The mean runs over real tokens only; padded tokens give 0. Linear time and no pairs; the tanh makes it not linear
    in its values, so it is a layer. Shapes: x (B, T, M), keep (B, T).

    Source: none known; the simplest gate between what a sequence shares and what sets a token apart.
    Cost: T x M operations.
    """

    def __init__(self, model_width: int) -> None:
        super().__init__()
        self.logit = nn.Parameter(torch.zeros(model_width))

    def forward(self, x_BTM: Tensor, *, keep: Tensor | None = None) -> Tensor:
        """out_BTM; a text of padding alone gives zeros."""
        gate = torch.sigmoid(self.logit)
        if keep is None:
            mean = x_BTM.mean(1, keepdim=True)
            return gate * mean + (1 - gate) * torch.tanh(x_BTM - mean)
        real = keep.unsqueeze(-1)
        total = x_BTM.masked_fill(~real, 0.0).sum(1, keepdim=True)
        mean = total / real.sum(1, keepdim=True).clamp_min(1)
        mixed = gate * mean + (1 - gate) * torch.tanh(x_BTM - mean)
        return mixed.masked_fill(~real, 0.0)
