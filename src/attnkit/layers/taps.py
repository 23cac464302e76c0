"""Taps: what a layer's attention was given and gave, recorded while the model runs as it always does."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.attention.part import Params
from attnkit.attention.where import Where


@dataclass(frozen=True, eq=False)
class Seen:
    """One call of one layer: its inputs (not its T x S map), from which any row can be computed again."""

    name: str
    spec: Attention
    q_BHTD: Tensor
    k_BGSD: Tensor
    v_BGSE: Tensor
    where: Where
    params: Params
    state: Tensor | None
    out_BHTE: Tensor

    def matrix(self) -> Tensor:
        """The map A_BHTS, recomputed densely, before dropout."""
        return self.spec.matrix(self.q_BHTD, self.k_BGSD, self.where, self.params, self.state)


Listener = Callable[[nn.Module, Seen], None]

# Who hears of operators that run inside another library's modules, which hold no tap of their own.
_hearers: list[Listener] = []


class Tappable(nn.Module):
    """A module that can be listened to; with no listener it costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._tap: tuple[str, Listener] | None = None

    def _record(
        self,
        spec: Attention,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where,
        params: Params,
        state: Tensor | None,
        out: Tensor,
    ) -> None:
        if self._tap is not None:
            name, listen = self._tap
            listen(self, _detached(name, spec, q, k, v, where, params, state, out))


def tell(
    module: nn.Module, spec: Attention, q: Tensor, k: Tensor, v: Tensor, where: Where, params: Params, out: Tensor
) -> None:
    """Say what an operator did inside `module`, to whoever listens by `hearing`."""
    if not torch.compiler.is_compiling() and _hearers:
        _hearers[-1](module, _detached("", spec, q, k, v, where, params, None, out))


def _detached(
    name: str,
    spec: Attention,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    where: Where,
    params: Params,
    state: Tensor | None,
    out: Tensor,
) -> Seen:
    held = {key: value.detach() for key, value in params.items()}
    return Seen(name, spec, q.detach(), k.detach(), v.detach(), where, held, state, out.detach())


def tappable_layers(model: nn.Module) -> dict[str, Tappable]:
    """The layers of `model` that can be tapped, by module name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, Tappable)}


@contextmanager
def hearing(layers: Mapping[str, Tappable], listen: Listener) -> Iterator[None]:
    """Hand each call of these layers, and of operators told of by `tell`, to `listen` as it happens.

    Raises: ValueError where one of the layers is tapped already.
    """
    taken = [name for name, layer in layers.items() if layer._tap is not None]
    if taken:
        raise ValueError(f"layer {taken[0]!r} is tapped already; leave the other block first")
    _hearers.append(listen)
    try:
        for name, layer in layers.items():
            layer._tap = (name, listen)
        yield
    finally:
        for layer in layers.values():
            layer._tap = None
        _hearers.remove(listen)


@contextmanager
def tapped(model: nn.Module) -> Iterator[list[Seen]]:
    """Record every attention call of `model` while the block runs; outputs are bit-identical.

    Raises: ValueError where the model holds no layer that can be tapped, or one is tapped already.
    """
    layers = tappable_layers(model)
    if not layers:
        raise ValueError(f"{type(model).__name__} holds no AttentionLayer or AttentionPooling to listen to")
    seen: list[Seen] = []

    def listen(module: nn.Module, one: Seen) -> None:
        if isinstance(module, Tappable):
            seen.append(one)

    with hearing(layers, listen):
        yield seen
