"""int8 products: linear maps that multiply whole numbers, with scales of their inputs found on the way or before."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from attnkit.layers.int8_linear import Int8Linear
from attnkit.model.changes.base import Change
from attnkit.model.changes.calibrated import Calibrated, Feed, heard
from attnkit.model.changes.places import linear_maps, put


@dataclass(frozen=True)
class DynamicInt8(Change):
    """Multiply in 8 bits in every linear map, each token by the scale of its own largest entry. CPU.

    Raises: ValueError where no linear map is left.
    Source: Yao et al. 2022 (ZeroQuant), section 3.1.
    """

    kind: ClassVar[str] = "dynamic_int8"
    stage: ClassVar[int] = 4

    def apply(self, network: nn.Module) -> None:
        """Put maps of whole numbers in the place of those of plain ones."""
        _replace(network, static=False)


@dataclass(frozen=True)
class StaticInt8(Calibrated):
    """Multiply in 8 bits in every linear map, its inputs by one scale: the largest entry that `texts` texts make. CPU.

    Raises: ValueError where no linear map is left, or texts are below 1.
    Source: Jacob et al. 2018, section 2; calibration by the largest, Wu et al. 2020, section 3.2.
    """

    kind: ClassVar[str] = "static_int8"
    stage: ClassVar[int] = 4

    texts: int = 256

    def __post_init__(self) -> None:
        if self.texts < 1:
            raise ValueError(f"static_int8.texts must be at least 1; got {self.texts}")

    def apply(self, network: nn.Module) -> None:
        """Put maps of whole numbers in the place of those of plain ones, whose inputs end at 1."""
        _replace(network, static=True)

    def apply_over(self, network: nn.Module, feed: Feed) -> None:
        """Put them there with what their inputs came to on training texts."""
        largest: dict[str, Tensor] = {}

        def take(name: str, given: Tensor, out: Tensor) -> None:
            if given.numel():
                most = given.abs().amax().float()
                largest[name] = most if name not in largest else most.maximum(largest[name])

        with heard(dict(linear_maps(network)), take):
            feed(network, self.texts)
        for name, made in _replace(network, static=True).items():
            if name in largest:
                made.largest.copy_(largest[name])


def _replace(network: nn.Module, static: bool) -> dict[str, Int8Linear]:
    maps = list(linear_maps(network))
    if not maps:
        raise ValueError("no linear map is left whose weights are plain numbers; leave it out")
    made = {name: Int8Linear(linear.weight, linear.bias, static) for name, linear in maps}
    for name, module in made.items():
        put(network, name, module)
    return made
