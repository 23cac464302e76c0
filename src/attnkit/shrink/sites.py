"""Sites: where the heads and the inner units of each layer can be weighed, without touching a weight."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor, nn

from attnkit.layers import AttentionLayer
from attnkit.model.changes.base import layers_of
from attnkit.model.changes.remove_units import wide_maps

# What a map reads, x (rows, T, count x width), to gates that broadcast over (rows, T, count).
Gate = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Site:
    """A map of one layer that reads `count` heads or units, `width` numbers of each, side by side."""

    layer: int
    reads: nn.Linear
    count: int
    width: int


def head_sites(network: nn.Module) -> list[Site]:
    """The last projection of each attention that has heads.

    Raises: ValueError where the network has no layers that hold an attention.
    """
    found = []
    for number, layer in enumerate(layers_of(network)):
        attention = layer.get_submodule("attention")
        if isinstance(attention, AttentionLayer):
            found.append(Site(number, attention.out, attention.layout.heads, attention.layout.E))
    return found


def unit_sites(network: nn.Module) -> list[Site]:
    """The second wide map of each layer.

    Raises: ValueError where the network has no layers that hold an attention.
    """
    maps = [wide_maps(layer.get_submodule("wide"))[1] for layer in layers_of(network)]
    return [Site(number, second, second.in_features, 1) for number, second in enumerate(maps)]


@contextmanager
def gated(sites: Mapping[Site, Gate]) -> Iterator[None]:
    """While the block runs, each head or unit counts as much as its gate says: 0 is as if it were not there."""

    def hook(site: Site, gate: Gate) -> Callable[[nn.Module, tuple[Tensor, ...]], tuple[Tensor]]:
        def weigh(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor]:
            x = given[0]
            weighed = x.unflatten(-1, (site.count, site.width)) * gate(x).unsqueeze(-1)
            return (weighed.flatten(-2),)

        return weigh

    held = [site.reads.register_forward_pre_hook(hook(site, gate)) for site, gate in sites.items()]
    try:
        yield
    finally:
        for one in held:
            one.remove()
