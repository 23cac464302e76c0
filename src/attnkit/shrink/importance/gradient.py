"""Importance by gradient: how steeply the loss of a text hangs on a gate at each head, or at each inner unit."""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from attnkit.shrink.importance.batches import batches
from attnkit.shrink.parent import Part
from attnkit.shrink.sites import Site, gated, head_sites, unit_sites
from attnkit.task.base import Task
from attnkit.train.preprocessing import Preprocessing


def heads_by_gradient(network: nn.Module, task: Task, prepare: Preprocessing, part: Part) -> dict[int, list[float]]:
    """I_h = mean over texts of |dL / dg_h| at g = 1, with L the loss of a text and g_h a factor on what head h mixes.

    Source: Michel, Levy and Neubig 2019, equation 2, without their scaling of each layer to norm 1.
    Cost: one pass over the rows and one back.
    """
    return _by_gradient(network, head_sites(network), task, prepare, part)


def units_by_gradient(network: nn.Module, task: Task, prepare: Preprocessing, part: Part) -> dict[int, list[float]]:
    """I_u = mean over texts of |sum over tokens of a_u dL / da_u|, with a_u what inner unit u of the wide map holds.

    Source: Molchanov et al. 2017, Pruning convolutional neural networks for resource efficient inference, equation 7.
    Cost: one pass over the rows and one back.
    """
    return _by_gradient(network, unit_sites(network), task, prepare, part)


def _by_gradient(
    network: nn.Module, sites: Sequence[Site], task: Task, prepare: Preprocessing, part: Part
) -> dict[int, list[float]]:
    sums = {site: torch.zeros(site.count, dtype=torch.float64) for site in sites}
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)
    try:
        for inputs, targets in batches(part, prepare):
            gates: dict[Site, Tensor] = {}

            with gated({site: partial(_gate, gates, site) for site in sites}):
                loss = task.loss(network(*inputs), targets) * len(targets)
            for site, slope in zip(gates, torch.autograd.grad(loss, list(gates.values())), strict=True):
                sums[site] += slope.abs().sum((0, 1)).double()
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
    return {site.layer: (total / max(1, len(part))).tolist() for site, total in sums.items()}


def _gate(gates: dict[Site, Tensor], site: Site, x: Tensor) -> Tensor:
    # A gate of its own a row, so that one pass back gives the gradient of each text.
    gates[site] = torch.ones(x.shape[0], 1, site.count, requires_grad=True)
    return gates[site].to(x.dtype)
