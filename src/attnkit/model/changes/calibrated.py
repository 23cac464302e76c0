"""Changes that look at what a network reads and makes of texts before they are made."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnkit.model.changes.base import Change

# Runs a network over that many training texts.
Feed = Callable[[nn.Module, int], None]


@dataclass(frozen=True)
class Calibrated(Change):
    """A change that is made by training texts; without them its shapes are right and its weights are as good as any."""

    def apply_over(self, network: nn.Module, feed: Feed) -> None:
        """Edit `network` in place by what it does with the texts of `feed`.

        Raises: ValueError where the network has not what is to be changed.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what it looks at")


@contextmanager
def heard(modules: dict[str, nn.Module], take: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """While the block runs, `take` gets the name, the input and the output of each call of `modules`."""

    def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
        return lambda module, given, out: take(name, given[0].detach(), out.detach())

    held = [module.register_forward_hook(hook(name)) for name, module in modules.items()]
    try:
        yield
    finally:
        for one in held:
            one.remove()


def second_moments(modules: dict[str, nn.Module], feed: Callable[[], None], outputs: bool = False) -> dict[str, Tensor]:
    """C = sum of x x^T over the inputs x of each module, or over its `outputs`, in float64."""
    found: dict[str, Tensor] = {}

    def take(name: str, given: Tensor, out: Tensor) -> None:
        x_NI = (out if outputs else given).flatten(0, -2).double()
        found[name] = found.get(name, 0) + x_NI.T @ x_NI

    with heard(modules, take), torch.no_grad():
        feed()
    return found
