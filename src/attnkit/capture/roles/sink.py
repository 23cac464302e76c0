"""Sink: a head that leaves its weight with the first token."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.roles.role import Found, Measured, Role, averaged, one_of


@dataclass(frozen=True)
class Sink(Role):
    """Reads the first real key, whatever it is: score = mean_t p_(t, first).

    Over the queries behind it; where documents are packed, the first key of the query's own.

    By chance: one over the number of keys a query may see.

    Source: Xiao et al. (2023), Efficient streaming language models with attention sinks, section 3.1; the threshold on
        the mean weight is that of Gu et al. (2024), section 2, set higher.
    """

    @property
    def name(self) -> str:
        """The literature's."""
        return "sink"

    def measure(self, found: Found) -> Measured:
        """The share of the first key, but of its own query."""
        return averaged(self.shows_BHT(found), found.free.first_BHT, found.counted_BT & ~_itself(found))

    def shows_BHT(self, found: Found) -> Tensor:
        """The share itself, but that of the first token's own query."""
        return found.here.first_BHT.masked_fill(_itself(found)[:, None], 0.0)

    def keys(self, found: Found, item: int, head: int, query: int) -> Tensor:
        """The first real key."""
        scene = found.scene
        return one_of(scene.first_BT[item, query], scene.kept_BS.shape[1], scene.kept_BS.device)


def _itself(found: Found) -> Tensor:
    own = found.scene.own_BT
    if own is None:
        return torch.zeros_like(found.counted_BT)
    return own == found.scene.first_BT
