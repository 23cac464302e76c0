"""Diffuse: a head that reads everything a little."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.roles.role import Found, Measured, Role

# Below this many keys any row is flat.
KEYS = 4


@dataclass(frozen=True)
class Diffuse(Role):
    """Reads everything a little: score = mean_t H(p_t) / ln n_t, over the queries that may see n_t >= 4 keys.

    H is the entropy. Here a uniform map is the thing itself and scores 1; the chance level is 0, that of a row that
    reads one key.

    Source: Clark et al. (2019), section 3.2, broad heads by their entropy.
    """

    threshold: float = 0.75

    @property
    def name(self) -> str:
        """The literature's."""
        return "diffuse"

    def measure(self, found: Found) -> Measured:
        """The mean share of the largest entropy."""
        weight = self._weight(found)
        queries = weight.sum(-1)
        score = (self._share(found) * weight).sum(-1) / queries.clamp(min=1.0)
        return Measured(score, torch.zeros_like(score), queries.expand_as(score))

    def shows_BHT(self, found: Found) -> Tensor:
        """The share of the largest entropy."""
        return self._share(found) * self._weight(found)

    def keys(self, found: Found, item: int, head: int, query: int) -> Tensor:
        """All of them."""
        return found.scene.kept_BS[item]

    def _weight(self, found: Found) -> Tensor:
        return (found.counted_BT[:, None] & (found.seen_B1T >= KEYS)).float()

    def _share(self, found: Found) -> Tensor:
        return (found.here.entropy_BHT / found.seen_B1T.clamp(min=math.e).log()).clamp(max=1.0)
