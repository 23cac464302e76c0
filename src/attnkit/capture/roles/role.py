"""Role: what a head does, as a score between 0 and 1 beside the score of a head without preferences."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.capture.roles.scene import Scene
from attnkit.capture.roles.tally import Tally

NEEDS_PLACE = "queries of cross-attention and of a pooling have no place of their own among the keys"
NEEDS_TOKENS = "it goes by tokens, and none were given"


@dataclass(frozen=True, eq=False)
class Found:
    """The map of a call in sums, beside the same sums of a map that is uniform on what each query may see.

    `counted_BT` are the queries that have a choice: real, with at least two keys to see.
    """

    scene: Scene
    here: Tally
    free: Tally
    counted_BT: Tensor

    @property
    def seen_B1T(self) -> Tensor:
        """How many keys each query may see."""
        return self.free.total_BHT


@dataclass(frozen=True, eq=False)
class Measured:
    """A role's score of each item and head, what chance gives, and how many queries it was counted over."""

    score_BH: Tensor
    chance_BH: Tensor
    queries_BH: Tensor


@dataclass(frozen=True)
class Role:
    """One thing a head may do.

    A head gets the name where its lift = (score - chance) / (1 - chance) reaches `threshold`, and its score is beyond
    what as many queries would reach by accident.
    """

    threshold: float = 0.4

    @property
    def name(self) -> str:
        """As the literature has it, in lower case."""
        raise NotImplementedError(f"{type(self).__name__} has no name")

    def undecided(self, scene: Scene) -> str | None:
        """Why there is no saying whether a head does this; None where there is."""
        return None

    def measure(self, found: Found) -> Measured:
        """Score and chance of each item and head."""
        raise NotImplementedError(f"{type(self).__name__} does not measure")

    def shows_BHT(self, found: Found) -> Tensor:
        """How well each query's row shows the role: examples are taken from the top, 0 or less never."""
        raise NotImplementedError(f"{type(self).__name__} does not say which rows show it")

    def keys(self, found: Found, item: int, head: int, query: int) -> Tensor:
        """True at the keys that this query reads where the head does this, (S,)."""
        raise NotImplementedError(f"{type(self).__name__} does not say which keys it is about")


def averaged(share_BHT: Tensor, chance_B1T: Tensor, counted_BT: Tensor) -> Measured:
    """The mean share over the counted queries to which chance leaves something to choose: above 0 and below 1."""
    chosen = counted_BT[:, None] & (chance_B1T > 0) & (chance_B1T < 1 - 1e-6)
    weight = chosen.float()
    queries = weight.sum(-1)
    score = (share_BHT * weight).sum(-1) / queries.clamp(min=1.0)
    chance = (chance_B1T * weight).sum(-1) / queries.clamp(min=1.0)
    return Measured(score, chance.expand_as(score), queries.expand_as(score))


def one_of(index: Tensor | int, S: int, device: torch.device) -> Tensor:
    """True at that key alone, (S,)."""
    return torch.arange(S, device=device) == index
