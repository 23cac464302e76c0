"""Linear maps and tables that read their weights through a function, such as rounding, while the weights learn."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.layers.rounding import Rounding


class Through(Protocol):
    """What weights go through, row by row."""

    def __call__(self, weight: Tensor) -> Tensor: ...


class RoundedThrough:
    """Weights as they will be once they are stored as whole numbers; the gradient passes as if nothing was rounded.

    Source: straight-through estimator, Bengio, Leonard and Courville 2013; Jacob et al. 2018, section 3.
    """

    def __init__(self, rounding: Rounding) -> None:
        self.rounding = rounding

    def __call__(self, weight: Tensor) -> Tensor:
        return weight + (self.rounding.rounded(weight) - weight).detach()


class ZerosThrough:
    """Weights that are zero and get no gradient, so that they stay so while the others learn; all go on through `then`.

    Dropout has no say in it: updates from feedback learn in evaluation mode.
    """

    def __init__(self, then: Through | None = None) -> None:
        self.then = then

    def __call__(self, weight: Tensor) -> Tensor:
        if torch.is_grad_enabled() and weight.requires_grad:
            weight = weight * (weight != 0)
        return weight if self.then is None else self.then(weight)


class LinearThrough(nn.Module):
    """y = f(W) x + b."""

    def __init__(self, weight_OI: nn.Parameter, bias_O: nn.Parameter | None, through: Through) -> None:
        super().__init__()
        self.weight, self.bias, self.through = weight_OI, bias_O, through

    @classmethod
    def of(cls, linear: "nn.Linear | LinearThrough", through: Through) -> "LinearThrough":
        """The map with the very weights of `linear`, which go on through `through`."""
        if isinstance(linear, LinearThrough) and isinstance(linear.through, ZerosThrough):
            through = ZerosThrough(through)
        bias = linear.bias
        return cls(_parameter(linear.weight), None if bias is None else _parameter(bias), through)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.through(self.weight), self.bias)


class TableThrough(nn.Module):
    """x = f(E)[ids], for an f that works row by row."""

    def __init__(self, weight_VM: nn.Parameter, through: Through, padding_idx: int | None) -> None:
        super().__init__()
        self.num_embeddings = len(weight_VM)
        self.weight, self.through, self.padding_idx = weight_VM, through, padding_idx

    @classmethod
    def of(cls, table: "nn.Embedding | TableThrough", through: Through) -> "TableThrough":
        """The table with the very rows of `table`, which go on through `through`."""
        return cls(_parameter(table.weight), through, table.padding_idx)

    def forward(self, ids: Tensor) -> Tensor:
        return self.through(F.embedding(ids, self.weight, self.padding_idx))


def _parameter(value: Tensor) -> nn.Parameter:
    assert isinstance(value, nn.Parameter)
    return value
