"""Factored attention: the map is a product of thin factors and need never be built."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Factored(Attention):
    """An attention that mixes values without a T x S map, and can still give its map for a look.

    It reads of `Where` what is real (and where tokens stand, if it is causal); rows of padding are zero.
    """

    @property
    def sees_itself(self) -> bool:
        """True: none leaves out the token itself."""
        return True


def real_keys(x_BHSD: Tensor, where: Where) -> Tensor:
    """Keys, values or features with zeros where a key is padding."""
    return x_BHSD if where.keep is None else x_BHSD.masked_fill(~where.keep[:, None, :, None], 0.0)


def real_rows(x_BHTE: Tensor, where: Where) -> Tensor:
    """Rows of a map or of a result with zeros where a query is padding."""
    return x_BHTE if where.query_keep is None else x_BHTE.masked_fill(~where.query_keep[:, None, :, None], 0.0)


def over(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator; zero, with zero gradient, where the denominator is zero."""
    empty = denominator == 0
    return torch.where(empty, 0.0, numerator / denominator.masked_fill(empty, 1.0))
