"""Tensors that lie in parts in several processes: gathered to be read or saved, and spread again.

torch's DTensor is known by what it offers, since importing it takes longer than most commands do.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def whole(x: Tensor) -> Tensor:
    """The whole of a tensor, in every process; one that is whole already is given back as it is."""
    return x.full_tensor() if hasattr(x, "full_tensor") else x


def gathered(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each tensor whole, in every process."""
    return {name: whole(x) for name, x in tensors.items()}


def spread(tensors: Mapping[str, Tensor], like: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Each whole tensor in the parts in which the tensor of its name in `like` lies."""
    return {name: spread_one(x, like[name]) if name in like else x for name, x in tensors.items()}


def spread_state(tensors: Mapping[str, Tensor], optimizer: Optimizer) -> dict[str, Tensor]:
    """An optimizer's whole tensors, by "number of the parameter/name", in the parts in which its parameters lie."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    return {key: spread_one(x, parameters[int(key.partition("/")[0])]) for key, x in tensors.items()}


def spread_one(x: Tensor, like: Any) -> Tensor:
    """A whole tensor in the parts in which `like`, of its shape, lies; one of another shape stays whole."""
    if not hasattr(like, "full_tensor") or x.shape != like.shape:
        return x
    from torch.distributed.tensor import distribute_tensor

    with torch.no_grad():
        return distribute_tensor(x, like.device_mesh, like.placements)
