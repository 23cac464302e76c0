"""HeadLayout: how model width splits into query heads and the key/value heads they share."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import Part, require


@dataclass(frozen=True)
class HeadLayout(Part):
    """H query heads over G key/value heads: G = H is multi-head, 1 < G < H grouped, G = 1 multi-query.

    `width` is D, `value_width` E (D where not given).

    Raises: ValueError where a size is below one or G does not divide H.
    Source: Vaswani et al. (2017), section 3.2.2; Shazeer (2019), multi-query; Ainslie et al. (2023), grouped.
    Cost: none of its own; keys and values take G / H of the memory and projections that multi-head attention's take.
    """

    heads: int
    width: int
    key_heads: int | None = None
    value_width: int | None = None

    def __post_init__(self) -> None:
        require(self.heads >= 1, self, "heads", "at least 1")
        require(self.width >= 1, self, "width", "at least 1")
        require(
            self.key_heads is None or (self.key_heads >= 1 and self.heads % self.key_heads == 0),
            self,
            "key_heads",
            f"a divisor of heads={self.heads}",
        )
        require(self.value_width is None or self.value_width >= 1, self, "value_width", "at least 1")

    @property
    def G(self) -> int:
        """Number of key/value heads."""
        return self.heads if self.key_heads is None else self.key_heads

    @property
    def E(self) -> int:
        """Width of a value head."""
        return self.width if self.value_width is None else self.value_width


def split_heads(x_BTM: Tensor, heads: int) -> Tensor:
    """(B, T, H x D) as (B, H, T, D).

    Raises: RuntimeError where the last size does not split into `heads`.
    """
    return x_BTM.unflatten(-1, (heads, x_BTM.shape[-1] // heads)).transpose(1, 2)


def share_heads(x_BGSD: Tensor, heads: int) -> Tensor:
    """Keys or values repeated so that each of `heads` query heads has its own: (B, H, S, D), heads of a group adjacent.

    Raises: ValueError where the number of key/value heads does not divide `heads`.
    """
    groups = x_BGSD.shape[1]
    if groups == heads:
        return x_BGSD
    if heads % groups:
        raise ValueError(f"{heads} query heads cannot share {groups} key/value heads; give a divisor of {heads}")
    return x_BGSD.repeat_interleave(heads // groups, dim=1)
