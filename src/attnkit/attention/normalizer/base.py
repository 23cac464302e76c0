"""Normalizer: a row of scores becomes a row of weights."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.part import Params, Part


@dataclass(frozen=True)
class Normalizer(Part):
    """Turns each row of scores into weights on the keys that may be seen, from that row alone.

    Kernels hand over some of the rows at a time.
    """

    def weights(self, scores_BHTS: Tensor, allowed_BHTS: Tensor | None, params: Params) -> Tensor:
        """A_BHTS: zero where not allowed, and a zero row with zero gradient where nothing is."""
        raise NotImplementedError(f"{type(self).__name__} gives no weights")

    @property
    def rows_sum_to_one(self) -> bool:
        """True where each row that sees something sums to one."""
        return True

    @property
    def nonnegative(self) -> bool:
        """True where no weight is below zero."""
        return True


def masked(scores_BHTS: Tensor, allowed_BHTS: Tensor | None) -> Tensor:
    """Scores with -inf where a pair may not meet."""
    return scores_BHTS if allowed_BHTS is None else scores_BHTS.masked_fill(~allowed_BHTS, float("-inf"))


def exact(scores_BHTS: Tensor) -> Tensor:
    """Half-precision scores as float32, others as they are: thresholds and logarithms need the digits."""
    return scores_BHTS.float() if scores_BHTS.dtype in (torch.float16, torch.bfloat16) else scores_BHTS


def visible(scores_BHTS: Tensor, allowed_BHTS: Tensor | None) -> Tensor:
    """Number of keys each row may see, at least one, in the scores' dtype: (1,) or (B, H, T, 1)."""
    if allowed_BHTS is None:
        return torch.ones_like(scores_BHTS[:1, :1, :1].detach()).sum(-1).flatten()
    counts = torch.broadcast_to(allowed_BHTS, scores_BHTS.shape).sum(-1, keepdim=True)
    return counts.clamp(min=1).to(scores_BHTS.dtype)


def below_top(scores_BHTS: Tensor, allowed_BHTS: Tensor | None) -> Tensor:
    """Scores less the largest visible one of their row, -inf where not allowed: no row is too large to add up.

    The shift counts as a constant, which is exact for every normalizer that a shift of the row does not change.
    """
    z = masked(scores_BHTS, allowed_BHTS)
    top = z.detach().amax(-1, keepdim=True)
    return z - top.masked_fill(top == float("-inf"), 0.0)
