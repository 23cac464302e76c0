"""Score: how well a query and a key fit, one number a pair."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import Params, Part
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Score(Part):
    """A number for each pair of query and key, before any normalization, from that pair and its places alone.

    Kernels hand over some of the queries at a time, and leave out keys that are met by none of them.
    """

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        """scores_BHTS, finite for every pair, also for those that may not meet."""
        raise NotImplementedError(f"{type(self).__name__} gives no scores")

    @property
    def order_free(self) -> bool:
        """True where a pair's score does not depend on where the key stands."""
        return True
