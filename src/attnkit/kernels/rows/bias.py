"""What a position adds to the scores of a slab."""

import torch
from torch import Tensor

from attnkit.attention.part import Params
from attnkit.attention.position.base import Position
from attnkit.kernels.rows.place import Place, Space
from attnkit.kernels.rows.stage import ByAutograd, Stage


class DistanceStage(Stage):
    """x_rs += f_h(j_s - i_r) from f (H, S + T - 1) at every distance, for queries that stand last one first.

    In that order each row of the bias begins one number further than the row above it, so that the bias of a slab is a
    view of f with both strides one, and takes no memory; its gradient are sums along diagonals.
    """

    def __init__(self, vector_HL: Tensor) -> None:
        super().__init__((vector_HL,))

    def forward(self, x_HRS: Tensor, place: Place, space: Space, keep: bool) -> Tensor:
        """In place."""
        vector = self.tensors[0].detach()[place.heads]
        start = vector.storage_offset() + place.columns.start + place.rows.start
        return x_HRS.add_(vector.as_strided(x_HRS.shape, (vector.stride(0), 1, 1), start))

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """Diagonal c of the slab is the distance c beyond that of its first row and column."""
        grad = self.grads[0]
        if grad is not None:
            sums = diagonals(grad_HRS)
            start = place.columns.start + place.rows.start
            grad[place.heads, start : start + sums.shape[-1]] += sums
        return grad_HRS


def diagonals(x_HRS: Tensor) -> Tensor:
    """sum_r x_h,r,(c - r) for each of the R + S - 1 diagonals c, those that run down and to the left: (H, R + S - 1).

    Along the middle ones, which meet every row, a view of x does; at the two ends a copy with zeros beside it.
    """
    heads, height, width = x_HRS.shape
    if height == 1:
        return x_HRS[:, 0]
    if width <= 2 * height or not x_HRS.is_contiguous():
        return _with_zeros(x_HRS)
    edge = height - 1
    middle = x_HRS.as_strided(
        (heads, height, width - edge), (height * width, width - 1, 1), x_HRS.storage_offset() + edge
    ).sum(1)
    left, right = _with_zeros(x_HRS[..., :edge])[:, :edge], _with_zeros(x_HRS[..., width - edge :])[:, edge:]
    return torch.cat((left, middle, right), dim=-1)


def _with_zeros(x_HRS: Tensor) -> Tensor:
    heads, height, width = x_HRS.shape
    line = width + height - 1
    beside = x_HRS.new_zeros(heads, height, line)
    beside[..., :width] = x_HRS
    return beside.as_strided((heads, height, line), (height * line, line - 1, 1)).sum(1)


def any_bias(position: Position, heads: int, params: Params) -> ByAutograd:
    """A bias of which nothing is known but its own words."""
    names = list(params)

    def step(x: Tensor, place: Place, *own: Tensor) -> Tensor:
        named = dict(zip(names, own, strict=True))
        bias = position.bias(place.where.i, place.where.j, named, heads, x.dtype)
        if bias is None:
            return x
        if bias.shape[0] > 1:
            # Positions are of this item alone; a bias that is handed in for a call may hold those of all.
            bias = bias[place.item : place.item + 1]
        return x + bias.to(x.dtype)

    return ByAutograd(step, tuple(params.values()))
