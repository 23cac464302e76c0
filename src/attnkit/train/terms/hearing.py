"""Hearing a model's attention while it is trained, with what a gradient needs."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from attnkit.attention.base import Attention
from attnkit.attention.part import Params
from attnkit.attention.where import Where
from attnkit.layers.taps import Seen, tappable_layers


@contextmanager
def heard(model: nn.Module) -> Iterator[list[Seen]]:
    """Every attention call of a padded batch while the block runs, its tensors still part of the graph.

    What the model gives is the same to the last bit. A packed batch is not heard.

    Raises: ValueError where a layer is listened to already.
    """
    seen: list[Seen] = []
    with ExitStack() as stack:
        for name, layer in tappable_layers(model).items():
            if "_record" in layer.__dict__ or layer._tap is not None:
                raise ValueError(f"layer {name!r} is tapped already; leave the other block first")
            # A tap records detached tensors; the attribute of this one layer stands before the method of its class.
            layer.__dict__["_record"] = _recorder(name, seen)
            stack.callback(layer.__dict__.pop, "_record")
        yield seen


def _recorder(name: str, seen: list[Seen]) -> Callable[..., None]:
    def record(
        spec: Attention,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where,
        params: Params,
        state: Tensor | None,
        out: Tensor,
    ) -> None:
        seen.append(Seen(name, spec, q, k, v, where, params, state, out))

    return record


def map_of(seen: Seen) -> Tensor:
    """The map A_BHTS of one call, in at least float32, with its gradient.

    Cost: T x S numbers a head, several times over for the gradient: the whole map, as no entropy can do without.
    """
    with torch.autocast(seen.q_BHTD.device.type, enabled=False):
        wide = torch.promote_types(seen.q_BHTD.dtype, torch.float32)
        params = {name: x.to(wide) for name, x in seen.params.items()}
        state = None if seen.state is None else seen.state.to(wide)
        return seen.spec.matrix(seen.q_BHTD.to(wide), seen.k_BGSD.to(wide), seen.where, params, state)
