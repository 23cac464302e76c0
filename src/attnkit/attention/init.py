"""How a parameter begins: small frozen values, so that a specification can be compared and printed."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Init:
    """Values a new parameter is filled with: a normal distribution of `std` around `mean`."""

    mean: float = 0.0
    std: float = 0.0
    identity: bool = False

    def fill(self, shape: tuple[int, ...], generator: torch.Generator | None = None) -> Tensor:
        """A float32 tensor of `shape`; the identity matrix on its last two axes where `identity` is set."""
        if self.identity:
            return torch.eye(shape[-2], shape[-1]).expand(shape).clone()
        if self.std == 0:
            return torch.full(shape, self.mean)
        return torch.randn(shape, generator=generator) * self.std + self.mean


zeros = Init()
ones = Init(mean=1.0)
identity = Init(identity=True)


def constant(value: float) -> Init:
    """Every entry is `value`."""
    return Init(mean=value)


def normal(std: float) -> Init:
    """Independent normal entries around zero."""
    return Init(std=std)


def glorot(rows: int, columns: int) -> Init:
    """Normal entries of variance 2 / (rows + columns).

    Source: Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, eq. 12.
    """
    return Init(std=math.sqrt(2.0 / (rows + columns)))
