"""Remove units: a layer whose wide map has fewer numbers in between."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from attnkit.model.changes.base import Change, check_numbers, kept, layer_of
from attnkit.model.changes.slices import narrow_inputs, narrow_outputs, plain_map


@dataclass(frozen=True)
class RemoveUnits(Change):
    """Take inner `units` out of the wide map W_2 gelu(W_1 x) of layer `layer`: the same as if they were zero.

    Raises: ValueError where there is no such layer or unit, or none would be left.
    Source: Molchanov et al. 2019, Importance estimation for neural network pruning; McCarley et al. 2019, Structured
    pruning of a BERT-based question answering model.
    """

    kind: ClassVar[str] = "remove_units"

    layer: int
    units: tuple[int, ...]

    def __post_init__(self) -> None:
        check_numbers(self.units, self, "units")

    def apply(self, network: nn.Module) -> None:
        """Narrow both maps."""
        wide = layer_of(network, self.layer).get_submodule("wide")
        first, last = wide_maps(wide)
        units = kept(first.out_features, self.units, "unit")
        if not units:
            raise ValueError(f"all {first.out_features} units of layer {self.layer} would go; leave one, or drop it")
        wide.add_module("0", narrow_outputs(first, units))
        wide.add_module(str(len(wide._modules) - 1), narrow_inputs(last, units))


def wide_maps(wide: nn.Module) -> tuple[nn.Linear, nn.Linear]:
    """W_1 and W_2 of a wide map.

    Raises: ValueError where something else holds their weights.
    """
    modules = list(wide.children())
    return plain_map(modules[0]), plain_map(modules[-1])
