"""Importance by learned gates: which heads stay open when each open one costs something."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from attnkit.shrink.importance.batches import batches
from attnkit.shrink.parent import Part
from attnkit.shrink.sites import Site, gated, head_sites
from attnkit.task.base import Task
from attnkit.train.preprocessing import Preprocessing

# The stretch and the temperature of a hard concrete gate. Source: Louizos, Welling and Kingma 2018, section 4.
LOW, HIGH, TEMPERATURE = -0.1, 1.1, 0.33
FIRST = 2.0
RATE, STEPS, ROWS = 0.1, 300, 32


def heads_by_gates(
    network: nn.Module,
    task: Task,
    prepare: Preprocessing,
    part: Part,
    *,
    penalty: float = 0.5,
    steps: int = STEPS,
    seed: int = 0,
) -> dict[int, list[float]]:
    """log a_h of hard concrete gates on all heads, learned on `part` while the weights stand still: the loss of a batch
    plus `penalty` times the mean probability that a gate is not zero.

    g_h = min(1, max(0, s (HIGH - LOW) + LOW)), s = sigmoid((log u - log(1 - u) + log a_h) / TEMPERATURE), u uniform.

    Source: Voita et al. 2019, section 5.1; the gates, Louizos, Welling and Kingma 2018, equations 10 to 12.
    Cost: a pass and one back on 32 texts a step.
    """
    sites = head_sites(network)
    log_a = {site: torch.full((site.count,), FIRST, requires_grad=True) for site in sites}
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(log_a.values(), lr=RATE)
    learned = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learned:
        parameter.requires_grad_(False)

    def gate(site: Site, x: Tensor) -> Tensor:
        u_H = torch.rand(site.count, generator=generator).clamp(1e-6, 1 - 1e-6)
        s_H = ((u_H.log() - (1 - u_H).log() + log_a[site]) / TEMPERATURE).sigmoid()
        return (s_H * (HIGH - LOW) + LOW).clamp(0, 1).to(x.dtype)

    taken = 0
    try:
        while taken < steps:
            held = list(batches(part, prepare, ROWS))
            for number in torch.randperm(len(held), generator=generator)[: steps - taken].tolist():
                inputs, targets = held[number]
                with gated({site: partial(gate, site) for site in sites}):
                    loss = task.loss(network(*inputs), targets)
                closed = TEMPERATURE * math.log(-LOW / HIGH)
                open_H = torch.cat([(one - closed).sigmoid() for one in log_a.values()])
                optimizer.zero_grad()
                (loss + penalty * open_H.mean()).backward()
                optimizer.step()
                taken += 1
    finally:
        for parameter in learned:
            parameter.requires_grad_(True)
    return {site.layer: log_a[site].tolist() for site in sites}
