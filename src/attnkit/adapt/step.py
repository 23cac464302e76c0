"""One small update of a network from a few rows."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from attnkit.adapt.settings import LearnSettings
from attnkit.model.depth import depths, encoder_layers
from attnkit.task.base import Task
from attnkit.train.preprocessing import Ids, Preprocessing

Weights = dict[str, Tensor]


def learning(network: nn.Module, everything: bool) -> list[str]:
    """The names of the parameters that feedback moves; what imitates or balances nothing stays out of it."""
    depth, layers = depths(network), encoder_layers(network)
    return [name for name, one in depth.items() if everything or not 0 < one <= layers]


def update(
    network: nn.Module,
    task: Task,
    prepare: Preprocessing,
    items: Sequence[Ids],
    targets: Tensor,
    names: Sequence[str],
    settings: LearnSettings,
) -> float:
    """Take `settings.steps` steps of Adam on the mean loss of these rows, dropout off; gives the loss before them.

    Nothing is drawn: the same rows from the same weights give the same weights.
    """
    chosen = set(names)
    held = {name: parameter for name, parameter in network.named_parameters() if name in chosen}
    before = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    optimizer = torch.optim.Adam(held.values(), lr=settings.learning_rate)
    network.eval()
    first = 0.0
    try:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(name in chosen)
        batch = prepare.collate(items)
        for number in range(settings.steps):
            loss = task.loss(network(*batch), targets)
            if not number:
                first = float(loss.detach())
            if not torch.isfinite(loss):
                break
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    finally:
        for name, parameter in network.named_parameters():
            parameter.requires_grad_(before[name])
            parameter.grad = None
    return first


def copy_of(network: nn.Module, names: Sequence[str]) -> Weights:
    """The parameters of these names as they are now."""
    held = dict(network.named_parameters())
    return {name: held[name].detach().clone() for name in names}


def put(network: nn.Module, weights: Weights) -> None:
    """Give the parameters these values."""
    held = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in weights.items():
            held[name].copy_(value)


def changed_rows(before: Weights, after: Weights) -> Weights:
    """What differs, as tensors that `apply_rows` reads: the rows of the first axis that changed, and their numbers."""
    found: Weights = {}
    for name, old in before.items():
        new = after[name]
        if torch.equal(old, new):
            continue
        if new.ndim == 0:
            found[f"{name}:all"] = new.clone()
            continue
        rows = (old != new).reshape(len(new), -1).any(1).nonzero().flatten()
        found[f"{name}:rows"], found[f"{name}:values"] = rows, new[rows].clone()
    return found


def apply_rows(network: nn.Module, change: Weights) -> None:
    """Put what `changed_rows` found into the parameters of `network`."""
    held = dict(network.named_parameters())
    with torch.no_grad():
        for key, value in change.items():
            name, _, what = key.rpartition(":")
            if what == "all":
                held[name].copy_(value)
            elif what == "values":
                held[name][change[f"{name}:rows"]] = value
