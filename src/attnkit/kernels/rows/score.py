"""The first stage: scores of a slab."""

import torch
from torch import Tensor

from attnkit.attention.part import Params
from attnkit.attention.score.base import Score
from attnkit.kernels.native.rows import cap_
from attnkit.kernels.rows.place import Place, Space, add_product, product
from attnkit.kernels.rows.stage import ByAutograd, Stage


class ProductScore(Stage):
    """x_rs = scale * q_r . k_s; q and k are (B, H, L, W)."""

    def __init__(self, q_BHTW: Tensor, k_BHSW: Tensor, scale: float) -> None:
        super().__init__((q_BHTW, k_BHSW))
        self.scale = scale

    def forward(self, x_HRS: Tensor, place: Place, space: Space, keep: bool) -> Tensor:
        """One matrix product."""
        q, k = (place.of_heads(x) for x in self.tensors)
        return product(q[:, place.rows] * self.scale, k[:, place.columns].mT, space.take("scores", place.shape))

    def collect(self) -> None:
        """Queries are written row by row."""
        super().collect()
        if self.grads[0] is not None:
            self.grads[0] = torch.zeros_like(self.tensors[0], memory_format=torch.contiguous_format)

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """Two."""
        q, k = (place.of_heads(x) for x in self.tensors)
        grad_q, grad_k = self.grads
        if grad_q is not None:
            more = space.take("rows", (*place.shape[:2], k.shape[-1]))
            product(grad_HRS, k[:, place.columns], more)
            # Added, since rows beside the core belong to more than one slab.
            place.of_heads(grad_q)[:, place.rows].add_(more, alpha=self.scale)
        if grad_k is not None:
            into = place.of_heads(grad_k)[:, place.columns]
            add_product(into, grad_HRS.mT, q[:, place.rows] * self.scale)
        return grad_HRS


def any_score(score: Score, q_BHTD: Tensor, k_BHSD: Tensor, params: Params) -> ByAutograd:
    """A score of which nothing is known but its own words: it sees the slab's queries and its keys."""
    names = list(params)

    def rows(x: Tensor, place: Place) -> Tensor:
        return x[place.item : place.item + 1, :, place.rows]

    def columns(x: Tensor, place: Place) -> Tensor:
        return x[place.item : place.item + 1, :, place.columns]

    def step(x: Tensor, place: Place, q: Tensor, k: Tensor, *own: Tensor) -> Tensor:
        return score.scores(q, k, place.where, dict(zip(names, own, strict=True)))

    return ByAutograd(step, (q_BHTD, k_BHSD, *params.values()), (rows, columns, *(None for _ in names)))


class Cap(Stage):
    """x' = cap tanh(x / cap)."""

    def __init__(self, cap: float) -> None:
        super().__init__()
        self.cap = cap

    def forward(self, x_HRS: Tensor, place: Place, space: Space, keep: bool) -> Tensor:
        """In place."""
        # d x' / d x = 1 - tanh^2
        self._slope = space.take(f"cap {id(self)}", place.shape) if keep else None
        if cap_(x_HRS, self._slope, self.cap):
            return x_HRS
        x = x_HRS.mul_(1.0 / self.cap).tanh_()
        if self._slope is not None:
            torch.addcmul(x.new_ones(()), x, x, value=-1.0, out=self._slope)
        return x.mul_(self.cap)

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """In place."""
        assert self._slope is not None
        return grad_HRS.mul_(self._slope)
