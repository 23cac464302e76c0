"""Tensors that lie in parts in several processes: gathered to be read or saved, and spread again."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor whole, in every process; those that are whole already are given back as they are."""
    return {name: x.full_tensor() if isinstance(x, DTensor) else x for name, x in tensors.items()}


def spread(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each whole tensor in the parts in which the tensor of its name in `like` lies."""
    return {name: spread_one(x, like[name]) if name in like else x for name, x in tensors.items()}


def spread_one(x: Tensor, like: Tensor) -> Tensor:
    """A whole tensor in the parts in which `like`, of its shape, lies; one of another shape stays whole."""
    if not isinstance(like, DTensor) or x.shape != like.shape:
        return x
    with torch.no_grad():
        return distribute_tensor(x, like.device_mesh, like.placements)
