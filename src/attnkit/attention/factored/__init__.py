"""Factored operators by name."""

from attnkit.attention.factored.causal_linear import CausalLinear
from attnkit.attention.factored.linear import Linear
from attnkit.attention.factored.linformer import Linformer
from attnkit.attention.factored.nystrom import Nystrom
from attnkit.attention.factored.performer import Performer

FACTORED = (Linear, CausalLinear, Performer, Linformer, Nystrom)

__all__ = ["FACTORED", "CausalLinear", "Linear", "Linformer", "Nystrom", "Performer"]
