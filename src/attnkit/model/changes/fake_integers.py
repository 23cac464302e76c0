"""Fake integers: weights that are read as whole numbers would be, while they learn."""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from attnkit.layers.through import LinearThrough, RoundedThrough, TableThrough
from attnkit.model.changes.base import Change
from attnkit.model.changes.integer_weights import rounding_of
from attnkit.model.changes.places import linear_maps, put, refuse_language, tables


@dataclass(frozen=True)
class FakeIntegers(Change):
    """Let the network train with its weights rounded as `integer_weights` of the same `bits` and `group` stores them.

    Nothing is smaller yet: put integer_weights behind it once training is done, which then changes no answer.

    Raises: ValueError where bits are neither 8 nor 4.
    Source: Jacob et al. 2018, section 3 (quantization-aware training).
    """

    kind: ClassVar[str] = "fake_integers"
    stage: ClassVar[int] = 3

    bits: int = 8
    group: int = 0

    def __post_init__(self) -> None:
        rounding_of(self.bits, self.group)

    def apply(self, network: nn.Module) -> None:
        """Put modules that round on use in the place of linear maps and tables."""
        refuse_language(network)
        through = RoundedThrough(rounding_of(self.bits, self.group))
        for name, linear in linear_maps(network):
            put(network, name, LinearThrough.of(linear, through))
        for name, table in tables(network):
            put(network, name, TableThrough.of(table, through))
