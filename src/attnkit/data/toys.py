"""Toy problems that only attention solves: a network that mixes all tokens alike stays near guessing.

Each draw gives inputs_BS2 and targets_BT, both int64. The last axis of the inputs holds a token in 0 .. vocabulary - 1
and its place; a network embeds both and adds them, and reads its answers off the mixed values by a linear map alone.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.errors import UsageError


@dataclass(frozen=True)
class Toy:
    """A toy problem: who asks, and where each asker's answer stands.

    `queries` says who asks: "self", each token; "places", one query a place that has seen no token, as in
    cross-attention; "one", a single learned query, as in pooling.
    """

    name: str
    summary: str
    queries: str
    source: Callable[[Tensor], Tensor]

    def draw(
        self, generator: torch.Generator, *, rows: int = 64, length_tokens: int = 12, vocabulary: int = 8
    ) -> tuple[Tensor, Tensor]:
        """(inputs_BS2, targets_BT): `rows` fresh sequences of `length_tokens` random tokens, and the answers.

        Raises: UsageError where a size is too small for the problem to be one.
        """
        if rows < 1 or length_tokens < 4 or vocabulary < 4:
            raise UsageError(
                "a toy problem needs rows >= 1, length_tokens >= 4 and vocabulary >= 4; "
                f"got {rows}, {length_tokens} and {vocabulary}"
            )
        tokens = torch.randint(vocabulary, (rows, length_tokens), generator=generator)
        place = torch.arange(length_tokens).expand(rows, -1)
        if self.queries == "one":
            needle = torch.randint(length_tokens, (rows, 1), generator=generator)
            return torch.stack([tokens, (place == needle).long()], dim=-1), tokens.gather(1, needle)
        return torch.stack([tokens, place], dim=-1), tokens.gather(1, self.source(place))

    def places(self, length_tokens: int) -> int:
        """How many different places the inputs hold."""
        return 2 if self.queries == "one" else length_tokens


def _before(place: Tensor, distance: int) -> Tensor:
    """The place `distance` back, or the own one where there is none."""
    return torch.where(place >= distance, place - distance, place)


TOYS: dict[str, Toy] = {
    toy.name: toy
    for toy in (
        Toy("copy", "each place names its token, asked from outside", "places", lambda place: place),
        Toy("reverse", "each token names the one as far from the other end", "self", lambda place: place.flip(1)),
        Toy("itself", "each token names itself among those it sees", "self", lambda place: place),
        Toy("neighbour", "each token names the one before it", "self", lambda place: _before(place, 1)),
        Toy("two-back", "each token names the one two before it", "self", lambda place: _before(place, 2)),
        Toy("needle", "one query names the token that bears the mark", "one", lambda place: place),
    )
}
