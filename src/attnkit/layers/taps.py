"""Taps: what a layer's attention was given and gave, recorded while the model runs as it always does."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

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


class Tappable(nn.Module):
    """A module that can be listened to; with no listener it costs nothing."""

    def __init__(self) -> None:
        super().__init__()
        self._tap: tuple[str, list[Seen]] | None = None

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
            name, seen = self._tap
            held = {key: value.detach() for key, value in params.items()}
            seen.append(Seen(name, spec, q.detach(), k.detach(), v.detach(), where, held, state, out.detach()))


@contextmanager
def tapped(model: nn.Module) -> Iterator[list[Seen]]:
    """Record every attention call of `model` while the block runs; outputs are bit-identical.

    Raises: ValueError where the model holds no layer that can be tapped, or one is tapped already.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, Tappable)}
    if not layers:
        raise ValueError(f"{type(model).__name__} holds no AttentionLayer or AttentionPooling to listen to")
    taken = [name for name, layer in layers.items() if layer._tap is not None]
    if taken:
        raise ValueError(f"layer {taken[0]!r} is tapped already; leave the other block first")
    seen: list[Seen] = []
    try:
        for name, layer in layers.items():
            layer._tap = (name, seen)
        yield seen
    finally:
        for layer in layers.values():
            layer._tap = None
