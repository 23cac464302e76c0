"""Local: a head that reads the neighbourhood, not one place in it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.roles.pairs import RELATIONS
from attnkit.capture.roles.role import NEEDS_PLACE, Found, Measured, Role
from attnkit.capture.roles.scene import NEAR_TOKENS, Scene


@dataclass(frozen=True)
class Local(Role):
    """Reads what is near, without a place it keeps to: score = min(M, 2 (M - m)).

    M = sum_d m_d with m_d = mean_t p_(t, i_t + d), |d| <= 8, and m the largest of the m_d: a head that reads one place
    alone, the token before say, scores 0, and one that never gives half of it to one place scores all of M.

    Queries that see nothing else are left out. By chance: the same of a map uniform on what a query may see, or, if
    that is more, of one that spreads evenly over the query's piece of text whatever the head gives to the piece.

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
        even = _spread_over_pieces(found)
        by_chance = uniform.expand_as(score)
        if even is not None:
            by_chance = torch.maximum(by_chance, _discounted(even, weight, queries))
        return Measured(score, by_chance, queries.expand_as(score))

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


def _spread_over_pieces(found: Found) -> Tensor | None:
    """What would be near by if each query spread evenly what it gives to its own piece, (B, H, T, N)."""
    scene, own, whole = found.scene, found.here.related_BHTN, found.free.related_BHTN
    if scene.segment_BS is None or scene.near_BTN is None or own is None or whole is None:
        return None
    assert found.free.near_BHTN is not None
    B, T, N = scene.near_BTN.shape
    piece = scene.segment_BS.gather(-1, scene.near_BTN.clamp(min=0).flatten(1)).view(B, T, N)
    inside = (piece == piece[..., NEAR_TOKENS, None]) & (scene.near_BTN >= 0)
    place = RELATIONS.index("segment")
    share = found.free.near_BHTN * inside[:, None] / whole[..., place, None].clamp(min=1e-12)
    return own[..., place, None] * share.clamp(max=1.0)
