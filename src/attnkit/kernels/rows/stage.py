"""Stage: one step from queries and keys to weights, on a slab, with its way back."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from attnkit.kernels.rows.place import Place, Space


class Stage:
    """Takes the slab x_HRS one step on, and its gradient one step back.

    `tensors` are what the stage reads besides the slab; `grads` stand beside them while a gradient is collected, None
    where none is wanted. With `keep` a stage remembers what its way back needs, and from the normalizer on leaves the
    slab that it was given as it was.
    """

    whole_heads: bool = False

    def __init__(self, tensors: Sequence[Tensor] = ()) -> None:
        self.tensors = list(tensors)
        self.grads: list[Tensor | None] = [None] * len(self.tensors)

    def collect(self) -> None:
        """Make room for the gradients of those tensors that want one."""
        self.grads = [room(tensor) if tensor.requires_grad else None for tensor in self.tensors]

    def forward(self, x_HRS: Tensor, place: Place, space: Space, keep: bool) -> Tensor:
        """The slab after this step."""
        raise NotImplementedError(f"{type(self).__name__} has no way forward")

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """The gradient of the slab before this step, from that after it; adds to `grads`."""
        raise NotImplementedError(f"{type(self).__name__} has no way back")


class ByAutograd(Stage):
    """A step that torch differentiates: `step(x_1HRS, place, *tensors)`, of all heads unless told that some will do.

    `slices` say which part of each tensor a place reads; None stands for all of it.
    """

    def __init__(
        self,
        step: Callable[..., Tensor],
        tensors: Sequence[Tensor] = (),
        slices: Sequence[Callable[[Tensor, Place], Tensor] | None] | None = None,
        whole_heads: bool = True,
    ) -> None:
        super().__init__(tensors)
        self.whole_heads = whole_heads
        self.step = step
        self.slices = [None] * len(self.tensors) if slices is None else slices

    def forward(self, x_HRS: Tensor, place: Place, space: Space, keep: bool) -> Tensor:
        """The step, recorded where its way back will be asked for."""
        read = [one if part is None else part(one, place) for one, part in zip(self.tensors, self.slices, strict=True)]
        if not keep:
            with torch.no_grad():
                return self.step(x_HRS[None], place, *read)[0]
        with torch.enable_grad():
            self._x = x_HRS.detach()[None].requires_grad_()
            self._read = [
                one.detach().requires_grad_(grad is not None) for one, grad in zip(read, self.grads, strict=True)
            ]
            self._y = self.step(self._x, place, *self._read)
        # What follows may write over the slab, and autograd may still need it.
        return self._y.detach()[0].clone()

    def backward(self, grad_HRS: Tensor, place: Place, space: Space) -> Tensor:
        """What autograd says."""
        wanted = [index for index, grad in enumerate(self.grads) if grad is not None]
        leaves = [self._x, *(self._read[index] for index in wanted)]
        found = torch.autograd.grad(self._y, leaves, grad_HRS[None].to(self._y.dtype), allow_unused=True)
        for index, more in zip(wanted, found[1:], strict=True):
            grad, part = self.grads[index], self.slices[index]
            if more is not None and grad is not None:
                (grad if part is None else part(grad, place)).add_(more)
        del self._x, self._y, self._read
        return torch.zeros_like(grad_HRS) if found[0] is None else found[0][0]


def room(tensor: Tensor) -> Tensor:
    """Zeros for a gradient of `tensor`.

    With four axes, those of keys and values, the last two are laid down the other way round: to add A^T B to it is then
    a product of rows that lie one after the other, which takes three quarters of the time.
    """
    if tensor.dim() == 4:
        return torch.zeros_like(tensor.mT, memory_format=torch.contiguous_format).mT
    return torch.zeros_like(tensor, memory_format=torch.contiguous_format)
