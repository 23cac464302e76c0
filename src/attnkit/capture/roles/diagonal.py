"""Diagonal: a head that reads the query's own token."""

from dataclasses import dataclass

from attnkit.capture.roles.placed import Placed


@dataclass(frozen=True)
class Diagonal(Placed):
    """Reads the query's own token: score = mean_t p_(t, i_t), p_ts = A_ts / sum_u A_tu.

    By chance: one over the number of keys a query may see.

    Source: Voita et al. (2019), section 4.3, positional heads.
    """

    @property
    def name(self) -> str:
        """The literature's."""
        return "diagonal"

    @property
    def step(self) -> int:
        """Tokens from the query to the key."""
        return 0
