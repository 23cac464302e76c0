"""Attention: a linear map on the values, and what it claims of its matrix."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.part import Params, Part
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Claims:
    """What an operator promises of its matrix A_BHTS; the laws hold it to each, and to what it does not claim."""

    rows_sum_to_one: bool = False
    nonnegative: bool = False
    causal: bool = False
    order_free: bool = False


@dataclass(frozen=True)
class Attention(Part):
    """Anything for which `mix(q, k, v) == matrix(q, k) @ v`.

    q_BHTD, k_BGSD and v_BGSE with G dividing H; the result is out_BHTE. `params` are tensors by dotted name, `state`
    the rows of a lower layer where a refinement reads them.
    """

    def matrix(
        self,
        q: Tensor,
        k: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """The map A_BHTS: each query's weights on the keys, zero rows where a query sees nothing."""
        raise NotImplementedError(f"{type(self).__name__} gives no matrix")

    def mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """The values mixed by the map: out_BHTE = A_BHTS @ v_BHSE."""
        from attnkit.attention.heads import share_heads

        return self.matrix(q, k, where, params, state) @ share_heads(v, q.shape[1])

    def claims(self) -> Claims:
        """What this operator promises of its matrix."""
        return Claims()

    def refuses_cache(self) -> str | None:
        """Why queries cannot be answered one at a time with the keys so far; None where they can."""
        return None if self.claims().causal else f"{type(self).__name__} is not causal: later keys change earlier rows"

    @property
    def needs_state(self) -> bool:
        """True where the map reads the rows of a lower layer."""
        return False

    @property
    def sees_itself(self) -> bool:
        """True where in self-attention no real token's row is empty, since it sees at least itself."""
        return False


def where_or_all(where: Where | None, q: Tensor, k: Tensor) -> Where:
    """`where`, or every query meeting every key, aligned bottom-right."""
    return where if where is not None else Where.of(q.shape[-2], k.shape[-2], device=q.device)
