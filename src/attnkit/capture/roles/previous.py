"""Previous: a head that reads the token before."""

from dataclasses import dataclass

from attnkit.capture.roles.placed import Placed


@dataclass(frozen=True)
class Previous(Placed):
    """Reads the token before: score = mean_t p_(t, i_t - 1), p_ts = A_ts / sum_u A_tu.

    By chance: one over the number of keys a query may see.

    Source: Voita et al. (2019), section 4.3, positional heads.
    """

    @property
    def name(self) -> str:
        """The literature's."""
        return "previous token"

    @property
    def step(self) -> int:
        """Tokens from the query to the key."""
        return -1
