"""No position: the score sees content alone."""

from dataclasses import dataclass

from attnkit.attention.position.base import Position


@dataclass(frozen=True)
class NoPosition(Position):
    """turn(x) = x and no bias: shuffling the keys changes nothing.

    Source: Kazemnejad et al. (2023), The impact of positional encoding on length generalization (NoPE).
    Cost: none.
    """
