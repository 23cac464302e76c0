"""Integer weights: linear maps and tables stored as whole numbers of 8 or 4 bits."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from attnkit.layers.rounding import Rounding
from attnkit.layers.stored import IntegerLinear, IntegerTable
from attnkit.model.changes.base import Change
from attnkit.model.changes.places import linear_maps, put, refuse_language, tables


@dataclass(frozen=True)
class IntegerWeights(Change):
    """Store the weights of all linear maps and tables as whole numbers of `bits` bits, with a scale a row, or a group.

    Weights only: they are made numbers again on use, and products are those of float32, so the file is smaller and
    nothing is faster. With 4 bits `group` weights share a scale (64 where it is 0), with 8 bits a row does. Biases,
    norms, recurrences, convolutions and the wide branch stay as they are. What is stored so learns no more.

    Raises: ValueError where bits are neither 8 nor 4, or nothing is left to be stored so.
    Source: Jacob et al. 2018, section 2.1; groups, Shen et al. 2020 (Q-BERT), section 3.3.
    """

    kind: ClassVar[str] = "integer_weights"
    stage: ClassVar[int] = 4

    bits: int = 8
    group: int = 0

    def __post_init__(self) -> None:
        self.rounding()

    def rounding(self) -> Rounding:
        """How it rounds."""
        return rounding_of(self.bits, self.group)

    def apply(self, network: nn.Module) -> None:
        """Put stored modules in the place of all that are not yet."""
        refuse_language(network)
        maps, rows = list(linear_maps(network)), list(tables(network))
        if not maps and not rows:
            raise ValueError("no linear map or table is left whose weights are plain numbers; leave it out")
        for name, linear in maps:
            put(network, name, IntegerLinear(linear.weight, linear.bias, self.rounding()))
        for name, table in rows:
            put(network, name, IntegerTable(table.weight, self.rounding()))


def rounding_of(bits: int, group: int) -> Rounding:
    """How weights are rounded to so many bits; a group of 0 is 64 weights of 4 bits, and a whole row of 8."""
    return Rounding(bits, group or (64 if bits == 4 else 0))
