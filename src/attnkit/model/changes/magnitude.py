"""Magnitude: the smallest weights of each matrix as zeros that stay zeros."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from attnkit.layers.through import LinearThrough, ZerosThrough
from attnkit.model.changes.base import Change
from attnkit.model.changes.places import linear_maps, put


@dataclass(frozen=True)
class Magnitude(Change):
    """Set the `share` of the weights of each linear map that are nearest to zero to zero; they do not learn again.

    Zeros are stored and multiplied like other numbers: the file is smaller only once it is compressed, and nothing is
    faster.

    Raises: ValueError where the share is not between 0 and 1.
    Source: Han et al. 2015, Learning both weights and connections for efficient neural networks, section 3.
    """

    kind: ClassVar[str] = "magnitude"
    stage: ClassVar[int] = 2

    share: float

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"magnitude.share is a share of the weights between 0 and 1; got {self.share}")

    def apply(self, network: nn.Module) -> None:
        """Zero them, map by map."""
        for name, linear in linear_maps(network):
            if not isinstance(linear, nn.Linear):
                raise ValueError(f"the weights of {name} are held to something already; change the share there")
            with torch.no_grad():
                linear.weight.mul_(_kept(linear.weight, self.share))
            put(network, name, LinearThrough.of(linear, ZerosThrough()))


def _kept(weight: Tensor, share: float) -> Tensor:
    gone = int(share * weight.numel())
    if not gone or weight.is_meta:
        return torch.ones_like(weight)
    mask = torch.ones(weight.numel(), dtype=weight.dtype, device=weight.device)
    mask[weight.detach().abs().flatten().argsort(stable=True)[:gone]] = 0
    return mask.view_as(weight)
