"""Sigmoid."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.normalizer.base import Normalizer, exact, visible
from attnkit.attention.part import Params, require


@dataclass(frozen=True)
class Sigmoid(Normalizer):
    """A_ts = 1 / (1 + exp(-z_ts - bias)): each key for itself, so rows need not sum to one.

    Unless given, bias = -ln n with n the number of keys that the query may see (not the number there are: padding
    changes nothing). A row of zeros then sums to n / (n + 1).

    Raises: ValueError where `bias` is not finite.
    Source: Ramapuram et al. (2024), Theory, analysis, and best practices for sigmoid self-attention, eq. 3 and
        section 3.1.
    Cost: T x S exponentials a head.
    """

    bias: float | None = None

    def __post_init__(self) -> None:
        require(self.bias is None or math.isfinite(self.bias), self, "bias", "a finite number")

    def weights(self, scores_BHTS: Tensor, allowed_BHTS: Tensor | None, params: Params) -> Tensor:
        """A_BHTS."""
        z = exact(scores_BHTS)
        bias = self.bias if self.bias is not None else -visible(z, allowed_BHTS).log()
        weights = torch.sigmoid(z + bias).to(scores_BHTS.dtype)
        return weights if allowed_BHTS is None else weights.masked_fill(~allowed_BHTS, 0.0)

    @property
    def rows_sum_to_one(self) -> bool:
        """Rows are not normalized."""
        return False
