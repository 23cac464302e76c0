"""Segment: a head that stays within its piece of the text."""

from dataclasses import dataclass

import torch

from attnkit.capture.roles.pairs import RELATIONS
from attnkit.capture.roles.related import Related
from attnkit.capture.roles.role import Found, Measured


@dataclass(frozen=True)
class Segment(Related):
    """Reads its own piece of the text, up to the delimiter that ends it: score = mean_t sum_s p_ts [same piece].

    By chance: the larger of what a uniform map scores and of what this very head scores when each border is moved to
    the middle of its piece, so that reading near by, which any border cuts alike, is no reading by pieces.

    Source: Clark et al. (2019), section 3, for attention by segments; the moved borders are ours.
    """

    threshold: float = 0.5

    @property
    def name(self) -> str:
        """The literature's."""
        return "segment"

    @property
    def relation(self) -> str:
        """The same piece."""
        return "segment"

    def measure(self, found: Found) -> Measured:
        """The share of the own piece; by chance that of the pieces with moved borders, if it is more."""
        plain = super().measure(found)
        here, free = found.here.related_BHTN, found.free.related_BHTN
        assert here is not None and free is not None
        chance = free[..., RELATIONS.index("segment")]
        weight = (found.counted_BT[:, None] & (chance > 0) & (chance < 1 - 1e-6)).float()
        moved = (here[..., RELATIONS.index("moved")] * weight).sum(-1) / weight.sum(-1).clamp(min=1.0)
        return Measured(plain.score_BH, torch.maximum(plain.chance_BH, moved), plain.queries_BH)
