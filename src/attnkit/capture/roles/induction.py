"""Induction: a head that reads what followed the query's token the last time."""

from dataclasses import dataclass

from attnkit.capture.roles.related import Related


@dataclass(frozen=True)
class Induction(Related):
    """Reads what came after the query's token elsewhere: score = mean_t o_t + min(o_t, p_(t, t+1)).

    o_t = sum_s p_ts [token_(s-1) = token_t], over other keys than the query's own and the one after it: that one counts
    for no more than the others, and only where a query may see it. Over the queries that may see such a key and
    another. By chance: the same of a uniform map.

    Source: Olsson et al. (2022), In-context learning and induction heads, prefix matching score; there on repeated
        random tokens, here on whatever repeats in the text.
    """

    @property
    def name(self) -> str:
        """The literature's."""
        return "induction"

    @property
    def relation(self) -> str:
        """The token before is the same."""
        return "induction"

    @property
    def forgiven(self) -> int:
        """The key after the query."""
        return 1
