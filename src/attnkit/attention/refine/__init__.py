"""Refinements by name."""

from attnkit.attention.refine.convolution import Convolution
from attnkit.attention.refine.head_gate import HeadGate
from attnkit.attention.refine.recurrent import Recurrent
from attnkit.attention.refine.span import Span
from attnkit.attention.refine.talking_heads import TalkingHeads
from attnkit.attention.refine.temperature import Temperature

REFINEMENTS = (Temperature, Span, TalkingHeads, Convolution, Recurrent, HeadGate)

__all__ = ["REFINEMENTS", "Convolution", "HeadGate", "Recurrent", "Span", "TalkingHeads", "Temperature"]
