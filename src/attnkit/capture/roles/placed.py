"""Placed roles share this: a key at a fixed step from the query's own position."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.capture.roles.role import NEEDS_PLACE, Found, Measured, Role, averaged, one_of
from attnkit.capture.roles.scene import NEAR_TOKENS, Scene


@dataclass(frozen=True)
class Placed(Role):
    """score = mean_t p_(t, i_t + step), over the queries that may see that key and another."""

    @property
    def step(self) -> int:
        """Tokens from the query to the key."""
        raise NotImplementedError(f"{type(self).__name__} has no step")

    def undecided(self, scene: Scene) -> str | None:
        """Where queries have no place."""
        return NEEDS_PLACE if scene.near_BTN is None else None

    def measure(self, found: Found) -> Measured:
        """The share at the step; by chance one key of those seen."""
        share = self.shows_BHT(found)
        assert found.free.near_BHTN is not None
        return averaged(share, found.free.near_BHTN[..., NEAR_TOKENS + self.step], found.counted_BT)

    def shows_BHT(self, found: Found) -> Tensor:
        """The share itself."""
        assert found.here.near_BHTN is not None
        return found.here.near_BHTN[..., NEAR_TOKENS + self.step]

    def keys(self, found: Found, item: int, head: int, query: int) -> Tensor:
        """The key at the step."""
        near = found.scene.near_BTN
        assert near is not None
        return one_of(near[item, query, NEAR_TOKENS + self.step], found.scene.kept_BS.shape[1], near.device)
