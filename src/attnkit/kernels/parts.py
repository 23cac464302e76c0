"""Operators made of operators: each of them on the kernel that its own plan chooses."""

from dataclasses import replace

from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.combine import Composed, Mixture, Sum, Then
from attnkit.kernels.kernel import Call, Kernel, Portion
from attnkit.kernels.situation import Situation


class Parts(Kernel):
    """Sum, Mixture and Then, put together from results that each operator's own best kernel gives.

    Cost: the operators' together.
    """

    name = "parts"
    opaque = True

    def fits(self, spec: Attention, situation: Situation) -> str | None:
        """Not under dropout, which falls on the map that all of them make."""
        if type(spec) not in (Sum, Mixture, Then):
            return f"{type(spec).__name__} is not made of other operators"
        if situation.dropout:
            return "dropout falls on the map that its operators make together"
        return None

    def concerns(self, spec: Attention, situation: Situation) -> bool:
        """Operators made of operators."""
        return isinstance(spec, Composed)

    def portions(self, spec: Attention, situation: Situation) -> tuple[Portion, ...]:
        """Each operator, with the sizes that it sees."""
        if isinstance(spec, Then):
            among = replace(situation, T=situation.S, query_keep=situation.keep)
            return Portion("first", spec.first, among), Portion("second", spec.second, situation)
        assert isinstance(spec, Sum | Mixture)
        if isinstance(spec, Mixture):
            situation = replace(situation, value_width=situation.value_width + 1)
        return tuple(Portion(str(index), part, situation) for index, part in enumerate(spec.of))

    def run(self, spec: Attention, call: Call) -> Tensor:
        """out_BHTE."""
        assert isinstance(spec, Composed)
        return spec.compose(call.mixer, call.q_BHTD, call.k_BGSD, call.v_BGSE, call.where, call.params, call.state)
