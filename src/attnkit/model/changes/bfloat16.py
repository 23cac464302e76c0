"""bfloat16: linear maps and tables stored in half the bits."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from attnkit.layers.stored import HalfLinear, HalfTable
from attnkit.model.changes.base import Change
from attnkit.model.changes.places import linear_maps, put, refuse_language, tables


@dataclass(frozen=True)
class BFloat16(Change):
    """Store the weights of all linear maps and tables in bfloat16; products are those of float32, on what was stored.

    Raises: ValueError where nothing is left to be stored so.
    Source: Kalamkar et al. 2019, A study of BFLOAT16 for deep learning training.
    """

    kind: ClassVar[str] = "bfloat16"
    stage: ClassVar[int] = 4

    def apply(self, network: nn.Module) -> None:
        """Put stored modules in the place of all that are not yet."""
        refuse_language(network)
        maps, rows = list(linear_maps(network)), list(tables(network))
        if not maps and not rows:
            raise ValueError("no linear map or table is left whose weights are plain numbers; leave it out")
        for name, linear in maps:
            put(network, name, HalfLinear(linear.weight, linear.bias))
        for name, table in rows:
            put(network, name, HalfTable(table.weight))
