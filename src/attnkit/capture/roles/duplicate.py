"""Duplicate: a head that reads other occurrences of the query's token."""

from dataclasses import dataclass

from attnkit.capture.roles.related import Related


@dataclass(frozen=True)
class Duplicate(Related):
    """Reads the same token elsewhere: score = mean_t o_t + min(o_t, p_tt), with o_t = sum_s p_ts [token_s = token_t].

    The sum is over other keys than the query's own: what goes by the token reads that as well, and it counts for no
    more than the others. Over the queries that may see such a key and another. By chance: the same of a uniform map.

    Source: Wang et al. (2022), Interpretability in the wild, section 3, duplicate token heads.
    """

    @property
    def name(self) -> str:
        """The literature's."""
        return "duplicate token"

    @property
    def relation(self) -> str:
        """The same token."""
        return "duplicate"

    @property
    def forgiven(self) -> int:
        """The query's own key."""
        return 0
