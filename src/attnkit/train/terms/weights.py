"""Penalties on the size of weights."""

import torch
from torch import Tensor, nn


def matrices(model: nn.Module) -> list[nn.Parameter]:
    """What weight decay falls on too: matrices of layers; not biases, norms or the tables of embeddings."""
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    return [p for p in model.parameters() if p.ndim > 1 and p not in tables and p.requires_grad]


def size_penalty(model: nn.Module, l1: float, l2: float) -> Tensor:
    """l1 sum |w| + l2 / 2 sum w^2 over the matrices of `model`.

    Source: l2, Krogh and Hertz (1991), equation 2; l1, Tibshirani (1996), equation 1.
    """
    total = torch.zeros(())
    for w in matrices(model):
        if l1:
            total = total + l1 * w.abs().sum()
        if l2:
            total = total + l2 / 2 * w.square().sum()
    return total
