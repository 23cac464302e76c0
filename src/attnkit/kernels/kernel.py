"""Kernel: one way to compute an operator, which says itself where it fits."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.combine import Mixer, by_itself
from attnkit.attention.part import Params
from attnkit.attention.where import Where
from attnkit.kernels.cost import Cost
from attnkit.kernels.situation import Situation


@dataclass(frozen=True)
class Call:
    """The arguments of one mixing: tensors, where, parameters and dropout; `mixer` mixes for operators inside."""

    q_BHTD: Tensor
    k_BGSD: Tensor
    v_BGSE: Tensor
    where: Where
    params: Params
    state: Tensor | None = None
    dropout: float = 0.0
    generator: torch.Generator | None = None
    mixer: Mixer = by_itself


@dataclass(frozen=True)
class Portion:
    """A part of an operator that is planned for by itself, and the situation it is in."""

    name: str
    spec: Attention
    situation: Situation


class Kernel:
    """Computes out_BHTE for the operators it fits; forward and gradients equal the reference.

    `fits` says whether it can, `pays` whether it should where the choice is free, `cost` what it will take. None of
    them sees a number of q, k or v. `on_request` marks a kernel that is never chosen, only asked for.
    """

    name: str
    on_request: bool = False
    opaque: bool = False

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """None where this kernel can do it, else the reason why not."""
        raise NotImplementedError(f"{type(self).__name__} does not say where it fits")

    def concerns(self, spec: Attention, situation: Situation) -> bool:
        """False where nobody would expect this kernel, so that a plan need not say why it was passed over."""
        return True

    def pays(self, spec: Attention, situation: Situation) -> str | None:
        """None where this kernel, which fits, is worth its while, else the reason why not."""
        return None

    def cost(self, spec: Attention, situation: Situation) -> Cost:
        """What it will take; sizes are known."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it costs")

    def portions(self, spec: Attention, situation: Situation) -> tuple[Portion, ...]:
        """The operators inside which have a plan of their own; the cost is then theirs together."""
        return ()

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        raise NotImplementedError(f"{type(self).__name__} does not run")
