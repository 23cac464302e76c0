"""Change: a step that makes a built network another one, as a frozen value object of plain data."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from attnkit.model.bert import BertEncoder
from attnkit.model.transformer import TransformerEncoder


@dataclass(frozen=True)
class Change:
    """Settings of one change, never its tensors: changes compare, hash, print and go into TOML.

    Layers, heads and units are numbered from 0, as they stand when the change is applied. Changes come by `stage`: what
    goes (0), ranks (1), zeros (2), weights that learn to be rounded (3), weights that are stored otherwise (4).
    """

    kind: ClassVar[str]
    stage: ClassVar[int] = 0

    def apply(self, network: nn.Module) -> None:
        """Edit `network` in place, its structure and its weights alike; on the meta device its shapes alone.

        Raises: ValueError where the network has not what is to be changed.
        """
        raise NotImplementedError(f"{type(self).__name__} does not say what it changes")

    def vocabulary_before(self, size: int) -> int:
        """The rows that the table of words had before the change, `size` being those that it has after it.

        Raises: ValueError where it cannot have so many.
        """
        return size

    def to_plain(self) -> dict[str, Any]:
        """The change as a table of plain values with its kind."""
        plain: dict[str, Any] = {"kind": self.kind}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            plain[field.name] = list(value) if isinstance(value, tuple) else value
        return plain


def encoder_of(network: nn.Module) -> TransformerEncoder | BertEncoder:
    """What reads the words in `network`, made of layers that hold an attention.

    Raises: ValueError where it has no such encoder.
    """
    encoder = getattr(network, _encoder_name(network), None)
    if not isinstance(encoder, TransformerEncoder | BertEncoder):
        found = "no encoder" if encoder is None else f"a {type(encoder).__name__}"
        raise ValueError(f"changes are to the layers of a transformer or bert, and this network has {found}")
    return encoder


def _encoder_name(network: nn.Module) -> str:
    return "words" if getattr(network, "encoder", None) is None else "encoder"


def layers_path(network: nn.Module) -> str:
    """How the names of the layers that `layers_of` gives begin: "encoder.layers.", or "words.layers." of a hierarchical
    network.

    Raises: ValueError where there are none.
    """
    layers_of(network)
    return f"{_encoder_name(network)}.layers."


def layers_of(network: nn.Module) -> nn.ModuleList:
    """The layers of the encoder of `network`, from the lowest on.

    Raises: ValueError where it has none that hold an attention.
    """
    return encoder_of(network).layers


def layer_of(network: nn.Module, number: int) -> nn.Module:
    """Layer `number` of the encoder.

    Raises: ValueError where there is none of that number.
    """
    layers = layers_of(network)
    if not 0 <= number < len(layers):
        raise ValueError(f"there is no layer {number}: the encoder has {len(layers)}, from 0 to {len(layers) - 1}")
    return layers[number]


def check_numbers(numbers: Sequence[int], change: Change, field: str) -> None:
    """Hold a list of what is taken out to having something in it, each once, none below 0.

    Raises: ValueError naming the field.
    """
    name = f"{change.kind}.{field}"
    if not numbers:
        raise ValueError(f"{name} names nothing; leave the change out, or name what is to go")
    if min(numbers) < 0:
        raise ValueError(f"{name} holds {min(numbers)}; {field} are numbered from 0")
    twice = next((number for number in numbers if numbers.count(number) > 1), None)
    if twice is not None:
        raise ValueError(f"{name} holds {twice} twice; name each once")


def kept(count: int, gone: Sequence[int], what: str) -> list[int]:
    """The numbers below `count` that are not in `gone`.

    Raises: ValueError where `gone` holds a number of what is not there.
    """
    beyond = [number for number in gone if number >= count]
    if beyond:
        raise ValueError(f"there is no {what} {beyond[0]}: there are {count}, from 0 to {count - 1}")
    out = set(gone)
    return [number for number in range(count) if number not in out]
