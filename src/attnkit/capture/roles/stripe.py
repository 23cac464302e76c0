"""Stripe: a head whose queries all read the same few keys."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.roles.role import Found, Measured, Role
from attnkit.capture.roles.tally import Tally

# How many keys are a few, and which part of the queries has to see a key for its readers to be everybody.
KEYS = 3
READERS = 0.25
# How many times as much as by chance one of them receives.
OFTEN = 2.0
# Readings this close are alike.
ALIKE = 1e-4


@dataclass(frozen=True)
class Stripe(Role):
    """Reads a few keys from everywhere, other than the first and delimiters: score = sum_(s in K) received_s / readers.

    K are up to 3 keys, those that receive the most from whoever may see them and more than twice what they would by
    chance, among those that a quarter of the queries may see; `readers` is how many may see one of K. K is chosen by
    every other query and counted on the rest, and the other way round, so that the largest of many accidents is no
    stripe. By chance: the same of a uniform map.

    Source: Jiang et al. (2024), MInference 1.0, section 3, vertical lines; the halves are ours.
    """

    @property
    def name(self) -> str:
        """The literature's: vertical lines in the map."""
        return "stripe"

    def measure(self, found: Found) -> Measured:
        """Mean of the two halves."""
        chosen, queries = self._chosen(found), found.counted_BT.sum(-1)[:, None]
        enough = self._candidates(found).any(-1).all(-1)
        score, chance = (_half_by_half(tally, found.free, chosen) for tally in (found.here, found.free))
        return Measured(score, chance, (queries * enough).expand_as(score))

    def shows_BHT(self, found: Found) -> Tensor:
        """Each counted query alike, but for how far it is from a few places in the text: readers are everywhere."""
        B, T = found.counted_BT.shape
        apart = torch.arange(T, device=found.counted_BT.device) % max(1, T // 4)
        shown = found.counted_BT.float() / (1.0 + apart)
        return shown[:, None].expand(B, found.here.total_BHT.shape[1], T)

    def keys(self, found: Found, item: int, head: int, query: int) -> Tensor:
        """Those chosen by either half."""
        return self._chosen(found)[item, head].any(0)

    def _candidates(self, found: Found) -> Tensor:
        """True at keys that are neither first nor delimiters, and that enough of each half may see, (B, 1, 2, S)."""
        scene, seeing = found.scene, found.free.seeing_BHPS
        assert seeing is not None
        special = scene.firsts_BS if scene.delimiter_BS is None else scene.firsts_BS | scene.delimiter_BS
        half = found.counted_BT.sum(-1)[:, None, None, None] / 2
        return (seeing >= READERS * half) & (seeing > 0) & ~special[:, None, None]

    def _chosen(self, found: Found) -> Tensor:
        """True at the keys chosen by each half of the queries, (B, H, 2, S)."""
        seeing, here, free = found.free.seeing_BHPS, found.here.received_BHPS, found.free.received_BHPS
        assert seeing is not None
        may = self._candidates(found) & (here > OFTEN * free)
        rate = (here / seeing.clamp(min=1.0)).masked_fill(~may, -1.0)
        # The earlier of keys that are read alike, whatever rounding makes of them.
        value, index = (rate / ALIKE).round().sort(dim=-1, descending=True, stable=True)
        value, index = value[..., :KEYS], index[..., :KEYS]
        return torch.zeros_like(rate, dtype=torch.bool).scatter_(-1, index, value > 0)


def _half_by_half(tally: Tally, free: Tally, chosen_BHPS: Tensor) -> Tensor:
    """What the keys chosen by one half receive from the other, over those of it that see the most seen of them."""
    assert free.seeing_BHPS is not None
    other = chosen_BHPS.flip(2)
    readers = (free.seeing_BHPS * other).amax(-1).clamp(min=1.0)
    return ((tally.received_BHPS * other).sum(-1) / readers).clamp(max=1.0).mean(-1)
