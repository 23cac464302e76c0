"""Twice: gradients that can be differentiated again."""

from collections.abc import Sequence

import torch
from torch import Tensor


def twice(out: Tensor, inputs: Sequence[Tensor], grad: Tensor, wanted: Sequence[bool]) -> tuple[Tensor | None, ...]:
    """Recorded gradients of those of `inputs` that are wanted, of an `out` that recorded operations made."""
    leaves = [x for x, one in zip(inputs, wanted, strict=False) if one]
    found = iter(torch.autograd.grad(out, leaves, grad, create_graph=True))
    return tuple(next(found) if one else None for _, one in zip(inputs, wanted, strict=False))
