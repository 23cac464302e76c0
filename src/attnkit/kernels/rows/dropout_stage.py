"""The last stage: dropout on the weights of a slab."""

from torch import Tensor

from attnkit.kernels.rows.dropout import DropoutMask
from attnkit.kernels.rows.place import Place, Space
from attnkit.kernels.rows.stage import Stage


class Dropped(Stage):
    """Weights times a mask that is a function of the seed and of item, head, query and key, over 1 - p.

    Source: Srivastava et al. (2014); on the weights: Vaswani et al. (2017), section 5.4.
    """

    def __init__(self, seed: int, p: float, heads: int) -> None:
        super().__init__()
        self.mask, self.heads = DropoutMask(seed, p), heads

    def forward(self, x_HRS: Tensor, place: Place, space: Space, keep: bool) -> Tensor:
        """In place, or beside the weights where the way back still needs them."""
        return self._apply(space.take("dropped", place.shape).copy_(x_HRS) if keep else x_HRS, place, space)

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """The same mask."""
        return self._apply(grad_HRS, place, space)

    def _apply(self, x_HRS: Tensor, place: Place, space: Space) -> Tensor:
        head = place.item * self.heads + place.heads.start
        return self.mask.apply_heads_(x_HRS, head, place.rows.start, place.columns.start, space)
