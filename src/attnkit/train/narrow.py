"""One task out of a network that answers several."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from attnkit.train.balance import NAME


def narrowed(model: nn.Module, span: slice) -> nn.Module:
    """A copy of `model` whose classifier gives the columns `span` alone, without what was attached for training."""
    found = copy.deepcopy(model)
    if hasattr(found, NAME):
        delattr(found, NAME)
    wide = found.get_submodule("head")
    assert isinstance(wide, nn.Linear)
    head = nn.Linear(wide.in_features, span.stop - span.start)
    with torch.no_grad():
        head.weight.copy_(wide.weight[span])
        head.bias.copy_(wide.bias[span])
    found.add_module("head", head.to(wide.weight))
    return found


def without_balance(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights without what a balance of tasks learned."""
    return {name: value for name, value in weights.items() if not name.startswith(f"{NAME}.")}
