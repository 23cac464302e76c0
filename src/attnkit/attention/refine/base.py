"""Refinement: W' = f(W), linear on the values still, with an identity setting."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import Params, Part
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Refinement(Part):
    """Acts on the scores before they are normalized, or on the weights after, or on both.

    Its parameters begin at the identity: a fresh refinement changes no output by a single bit.
    """

    def on_scores(
        self, scores: Tensor, allowed: Tensor | None, where: Where, params: Params, state: Tensor | None
    ) -> Tensor:
        """scores_BHTS, refined."""
        return scores

    def on_weights(
        self, weights: Tensor, allowed: Tensor | None, where: Where, params: Params, state: Tensor | None
    ) -> Tensor:
        """A_BHTS, refined; zero stays zero where a pair may not meet."""
        return weights

    @property
    def keeps_row_sums(self) -> bool:
        """True where rows that sum to one still do."""
        return False

    @property
    def keeps_sign(self) -> bool:
        """True where weights that were not negative stay so."""
        return False

    @property
    def keeps_causal(self) -> bool:
        """True where no later key enters a row."""
        return True

    @property
    def order_free(self) -> bool:
        """True where the refinement does not look at where a key stands."""
        return True

    @property
    def rows_read(self) -> tuple[int, int] | None:
        """How many rows above and below a row are read for it; None where it is not known, and may be all of them."""
        return None

    @property
    def needs_state(self) -> bool:
        """True where it reads the rows of a lower layer."""
        return False

    def refuses_cache(self) -> str | None:
        """Why one row at a time is not enough; None where it is."""
        return None


def per_head(parameter_H: Tensor, like_BHTS: Tensor) -> Tensor:
    """One number a head, ready to meet a map of the same type."""
    return parameter_H.to(like_BHTS.dtype)[:, None, None]
