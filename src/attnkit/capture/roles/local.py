"""Local: a head that reads the neighbourhood, not one place in it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.roles.role import NEEDS_PLACE, Found, Measured, Role
from attnkit.capture.roles.scene import Scene


@dataclass(frozen=True)
class Local(Role):
    """Reads what is near, without a place it keeps to: score = min(M, 2 (M - m)).

    M = sum_d m_d with m_d = mean_t p_(t, i_t + d), |d| <= 8, and m the largest of the m_d: a head that reads one place
    alone, the token before say, scores 0, and one that never gives half of it to one place scores all of M. By chance:
    the same of a map uniform on what a query may see; queries that see nothing else are left out.

    Source: Sukhbaatar et al. (2019), Adaptive attention span, section 3, heads of short reach; the discount is ours.
    """

    threshold: float = 0.5

    @property
    def name(self) -> str:
        """The literature's."""
        return "local"

    def undecided(self, scene: Scene) -> str | None:
        """Where queries have no place."""
        return NEEDS_PLACE if scene.near_BTN is None else None

    def measure(self, found: Found) -> Measured:
        """Discounted shares near by, of the map and of the uniform one."""
        here, free = found.here.near_BHTN, found.free.near_BHTN
        assert here is not None and free is not None
        chance = free.sum(-1)
        weight = (found.counted_BT[:, None] & (chance > 0) & (chance < 1 - 1e-6)).float()
        queries = weight.sum(-1)
        score, uniform = (_discounted(near, weight, queries) for near in (here, free))
        return Measured(score, uniform.expand_as(score), queries.expand_as(score))

    def shows_BHT(self, found: Found) -> Tensor:
        """What is near by, less the heaviest place."""
        near = found.here.near_BHTN
        assert near is not None
        return near.sum(-1) - near.amax(-1)

    def keys(self, found: Found, item: int, head: int, query: int) -> Tensor:
        """The neighbours."""
        near = found.scene.near_BTN
        assert near is not None
        index = torch.arange(found.scene.kept_BS.shape[1], device=near.device)
        return (index[:, None] == near[item, query]).any(-1)


def _discounted(near_BHTN: Tensor, weight_B1T: Tensor, queries_B1: Tensor) -> Tensor:
    mean = (near_BHTN * weight_B1T[..., None]).sum(2) / queries_B1.clamp(min=1.0)[..., None]
    whole = mean.sum(-1)
    return torch.minimum(whole, 2.0 * (whole - mean.amax(-1)))
