"""Normalizer: a row of scores becomes a row of weights."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import Params, Part


@dataclass(frozen=True)
class Normalizer(Part):
    """Turns each row of scores into weights on the keys that may be seen."""

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


def masked(scores_BHTS: Tensor, allowed_BHTS: Tensor | None, fill: float = float("-inf")) -> Tensor:
    """Scores with `fill` where a pair may not meet."""
    return scores_BHTS if allowed_BHTS is None else scores_BHTS.masked_fill(~allowed_BHTS, fill)
