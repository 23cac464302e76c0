"""Delimiter: a head that reads what parts the text."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.capture.roles.role import NEEDS_TOKENS, Found, Measured, Role, averaged
from attnkit.capture.roles.scene import Scene


@dataclass(frozen=True)
class Delimiter(Role):
    """Reads special tokens, punctuation and line breaks: score = mean_t sum_s p_ts [token_s parts the text].

    The first real key does not count: a head that reads it is a sink. By chance: their part of the keys seen.

    Source: Clark et al. (2019), section 3.2, attending to separator tokens.
    """

    @property
    def name(self) -> str:
        """The literature's."""
        return "delimiter"

    def undecided(self, scene: Scene) -> str | None:
        """Where there are no tokens."""
        return NEEDS_TOKENS if scene.delimiter_BS is None else None

    def measure(self, found: Found) -> Measured:
        """The share of delimiters."""
        return averaged(found.here.delimiter_BHT, found.free.delimiter_BHT, found.counted_BT)

    def shows_BHT(self, found: Found) -> Tensor:
        """The share itself."""
        return found.here.delimiter_BHT

    def keys(self, found: Found, item: int, head: int, query: int) -> Tensor:
        """The delimiters but the first key."""
        delimiter = found.scene.delimiter_BS
        assert delimiter is not None
        return delimiter[item] & ~found.scene.firsts_BS[item]
