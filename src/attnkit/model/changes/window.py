"""Window: the attention of a layer, held to a neighborhood."""

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Full
from attnkit.attention.pattern import Window as WindowPattern
from attnkit.layers import AttentionLayer
from attnkit.model.changes.base import Change, layer_of


@dataclass(frozen=True)
class Window(Change):
    """Let the queries of layer `layer` meet the `width_tokens` keys around them alone, beside what its pattern says.

    A causal layer looks back that far. What it learns stays as it is, and its kernel is the one that fits a window.

    Raises: ValueError where there is no such layer, or its operator has no pattern that could be held to a window.
    Source: Beltagy et al. 2020 (Longformer), section 3.1.
    """

    kind: ClassVar[str] = "window"

    layer: int
    width_tokens: int

    def __post_init__(self) -> None:
        if self.width_tokens < 1:
            raise ValueError(f"window.width_tokens must be at least 1; got {self.width_tokens}")

    def apply(self, network: nn.Module) -> None:
        """Narrow the pattern of that layer."""
        attention = layer_of(network, self.layer).get_submodule("attention")
        if not isinstance(attention, AttentionLayer):
            raise ValueError(f"layer {self.layer} has no head left")
        attention.spec = windowed(attention.spec, self.width_tokens)


def windowed(spec: object, width_tokens: int) -> Pairwise:
    """`spec` within a window.

    Raises: ValueError where it has no pattern.
    """
    if not isinstance(spec, Pairwise):
        raise ValueError(f"{type(spec).__name__} has no pattern of its own; a window is for operators of pairs")
    if spec.needs_state:
        raise ValueError("it reads the map of the layer below, which is not that of a window")
    window = WindowPattern(width_tokens, causal=spec.pattern.causal)
    alone = isinstance(spec.pattern, Full | Causal)
    return dataclasses.replace(spec, pattern=window if alone else spec.pattern & window)
