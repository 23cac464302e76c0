"""Learned absolute positions."""

from dataclasses import dataclass

from torch import Tensor

from attnkit.attention.init import normal
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.position.base import Position
from attnkit.attention.position.limits import refuse_beyond


@dataclass(frozen=True)
class Learned(Position):
    """turn(x)_p = x_p + table_max(p, 0), one learned row of `table` (max_positions, D) a position.

    Queries, keys and heads share the table. Positions count from the first key; where there are more queries than
    keys, the queries that stand before the first key take its row.

    Raises: ValueError where `max_positions` is below one, or where a position reaches it.
    Source: Gehring et al. (2017), Convolutional sequence to sequence learning, section 3.1; Vaswani et al. (2017), 3.5.
    Cost: (T + S) x D additions a head; max_positions x D parameters.
    """

    max_positions: int = 512

    def __post_init__(self) -> None:
        require(self.max_positions >= 1, self, "max_positions", "at least 1")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`table`: one row a position."""
        return {"table": ParamSpec((self.max_positions, dims.width), normal(0.02))}

    def turn(self, x_BHLD: Tensor, position_BL: Tensor, params: Params) -> Tensor:
        """Queries or keys with the row of their position added."""
        position = position_BL.clamp(min=0)
        refuse_beyond(position, self, "max_positions")
        rows = needed(params, "table", self)[position].to(x_BHLD.dtype)
        return x_BHLD + (rows if rows.dim() == 2 else rows[:, None])
