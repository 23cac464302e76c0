"""Related roles share this: keys whose token stands in a relation to the query's."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.roles.pairs import RELATIONS, pairs
from attnkit.capture.roles.role import NEEDS_PLACE, NEEDS_TOKENS, Found, Measured, Role, averaged
from attnkit.capture.roles.scene import NEAR_TOKENS, Scene
from attnkit.capture.roles.tally import Tally


@dataclass(frozen=True)
class Related(Role):
    """score = mean_t o_t + min(o_t, f_t), with o_t = sum_(s in R_t) p_ts, f_t = p_(t, i_t + forgiven) or 0.

    Whatever goes by tokens cannot but read the forgiven key as well as those of R_t; it counts for no more than they.
    Over the queries that may see a key of R_t and another.
    """

    @property
    def relation(self) -> str:
        """One of RELATIONS."""
        raise NotImplementedError(f"{type(self).__name__} names no relation")

    @property
    def forgiven(self) -> int | None:
        """Tokens from the query to the key that counts with the others, None where no key does."""
        return None

    def undecided(self, scene: Scene) -> str | None:
        """Where queries have no token among the keys, or there are no tokens."""
        if scene.near_BTN is None:
            return NEEDS_PLACE
        return NEEDS_TOKENS if scene.id_BS is None else None

    def measure(self, found: Found) -> Measured:
        """The share of the relation; by chance its part of the keys seen."""
        return averaged(self._share(found.here), self._share(found.free), found.counted_BT)

    def shows_BHT(self, found: Found) -> Tensor:
        """The share itself."""
        return self._others(found.here)

    def keys(self, found: Found, item: int, head: int, query: int) -> Tensor:
        """Those in the relation."""
        scene = found.scene
        whole = slice(0, scene.kept_BS.shape[1])
        return pairs(scene, self.relation, item, slice(query, query + 1), whole)[0]

    def _others(self, tally: Tally) -> Tensor:
        assert tally.related_BHTN is not None
        return tally.related_BHTN[..., RELATIONS.index(self.relation)]

    def _share(self, tally: Tally) -> Tensor:
        others = self._others(tally)
        if self.forgiven is None or tally.near_BHTN is None:
            return others
        return others + torch.minimum(others, tally.near_BHTN[..., NEAR_TOKENS + self.forgiven])
