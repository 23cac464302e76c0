"""Drop layers: an encoder without some of its layers."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from attnkit.model.changes.base import Change, check_numbers, encoder_of, kept, layers_of
from attnkit.model.stochastic_depth import StochasticDepth


@dataclass(frozen=True)
class DropLayers(Change):
    """Leave `layers` out of the encoder; those above them read what those below give.

    Raises: ValueError where there is no such layer, or none would be left.
    Source: Fan, Grave and Joulin 2020, Reducing transformer depth on demand; Sajjad et al. 2023, On the effect of
    dropping layers of pre-trained transformer models.
    """

    kind: ClassVar[str] = "drop_layers"

    layers: tuple[int, ...]

    def __post_init__(self) -> None:
        check_numbers(self.layers, self, "layers")

    def apply(self, network: nn.Module) -> None:
        """Leave them out, and spread the rate of stochastic depth over the others."""
        encoder, layers = encoder_of(network), layers_of(network)
        left = [layers[number] for number in kept(len(layers), self.layers, "layer")]
        if not left:
            raise ValueError(f"all {len(layers)} layers would go; leave one, or train with model.encoder = 'none'")
        highest = _depth(layers[-1]).rate
        for place, layer in enumerate(left, 1):
            _depth(layer).rate = highest * place / len(left)
        encoder.add_module("layers", nn.ModuleList(left))


def _depth(layer: nn.Module) -> StochasticDepth:
    depth = layer.get_submodule("depth")
    assert isinstance(depth, StochasticDepth)
    return depth
