"""Importance by ablation: how far the predictions move when one head, or one layer, is not there.

Not by how much the loss rises: a network that is too sure of itself loses loss with whatever damps it, and heads that
it needs most would seem harmful.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from attnkit.model.changes.base import encoder_of, layers_of
from attnkit.shrink.importance.batches import batches
from attnkit.shrink.parent import Part
from attnkit.shrink.sites import Site, gated, head_sites
from attnkit.task.base import Task
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.terms.divergence import divergence

# What a layer is called with, and gives back: x_BTM, and the map that the layer above reads.
Given = tuple[Any, ...]


def heads_by_ablation(network: nn.Module, task: Task, prepare: Preprocessing, part: Part) -> dict[int, list[float]]:
    """How far the predictions for `part` move without each head, by layer: their divergence from those with all.

    Source: one head at a time, Michel, Levy and Neubig 2019, section 3.2, who compare accuracies.
    Cost: a pass over the rows a head, from its layer on: what lies below is computed once.
    """
    sites = head_sites(network)
    sums = {site: [0.0] * site.count for site in sites}
    with torch.inference_mode():
        for inputs, targets in batches(part, prepare):
            share = len(targets) / len(part)
            with _heard(network) as given:
                whole_BC = network(*inputs)
            for site in sites:
                with _from_layer(network, site.layer, given[site.layer]):
                    for head in range(site.count):
                        with gated({site: partial(_without, site, head)}):
                            sums[site][head] += share * float(divergence(task, whole_BC, network(*inputs)))
    return {site.layer: each for site, each in sums.items()}


def layers_by_ablation(network: nn.Module, task: Task, prepare: Preprocessing, part: Part) -> list[float]:
    """How far the predictions for `part` move when each layer is passed by.

    Source: Sajjad et al. 2023, On the effect of dropping layers of pre-trained transformer models, section 3.
    Cost: half a pass over the rows a layer.
    """
    count = len(layers_of(network))
    sums = [0.0] * count
    with torch.inference_mode():
        for inputs, targets in batches(part, prepare):
            share = len(targets) / len(part)
            with _heard(network) as given:
                whole_BC = network(*inputs)
            for layer in range(count):
                with _from_layer(network, layer + 1, given[layer]):
                    sums[layer] += share * float(divergence(task, whole_BC, network(*inputs)))
    return sums


def _without(site: Site, head: int, x: Tensor) -> Tensor:
    gate_H = torch.ones(site.count, dtype=x.dtype, device=x.device)
    gate_H[head] = 0
    return gate_H


@contextmanager
def _heard(network: nn.Module) -> Iterator[list[Given]]:
    """What each layer is called with while the block runs."""
    found: list[Given] = []
    held = [layer.register_forward_pre_hook(lambda module, given: found.append(given)) for layer in layers_of(network)]
    try:
        yield found
    finally:
        for one in held:
            one.remove()


@contextmanager
def _from_layer(network: nn.Module, first: int, given: Given) -> Iterator[None]:
    """While the block runs, layer `first` reads what is in `given`, and what lies below it is not computed."""
    encoder, layers = encoder_of(network), layers_of(network)
    encoder.add_module("layers", nn.ModuleList([_Held(given), *layers[first:]]))
    try:
        yield
    finally:
        encoder.add_module("layers", layers)


class _Held(nn.Module):
    """A layer that gives what it was made with."""

    def __init__(self, given: Given) -> None:
        super().__init__()
        self.given = given

    def forward(self, x_BTM: Tensor, real: Tensor, state: Tensor | None) -> tuple[Any, Any]:
        return self.given[0], self.given[2]
