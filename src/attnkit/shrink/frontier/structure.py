"""What may go from a network, by degrees: each degree of each axis is one step further."""

from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, replace

# The share that goes at each degree: of heads and of inner units; of the words; of the width of their table; and what
# stays of the rank at which a product of two maps is as large as the map.
SHARES = (0.0, 0.25, 0.5, 0.75)
WORDS = (0.0, 0.5, 0.75)
TABLE = (0.0, 0.5, 0.75)
RANKS = (1.0, 0.75, 0.5)


@dataclass(frozen=True)
class Structure:
    """How many layers go, and the degree of everything else."""

    layers: int = 0
    heads: int = 0
    units: int = 0
    words: int = 0
    table: int = 0
    rank: int = 0

    @property
    def whole(self) -> bool:
        """True where nothing goes."""
        return not any(astuple(self))

    def said(self) -> str:
        """What goes, for people to read."""
        parts = [f"{self.layers} layer{'s' if self.layers > 1 else ''} less"] if self.layers else []
        for what, degree, shares in (
            ("of heads", self.heads, SHARES),
            ("of units", self.units, SHARES),
            ("of words", self.words, WORDS),
            ("of the table's width", self.table, TABLE),
        ):
            if degree:
                parts.append(f"{shares[degree]:.0%} {what} less")
        if self.rank:
            parts.append(f"maps of {RANKS[self.rank]:.0%} of the rank that pays")
        return ", ".join(parts) or "whole"


@dataclass(frozen=True)
class Room:
    """The furthest that each axis of a network goes."""

    layers: int
    heads: bool
    units: bool
    words: bool
    table: bool
    rank: bool

    def further(self, structure: Structure) -> Iterator[Structure]:
        """Every structure that is one step further than this one along one axis."""
        most = {
            "layers": self.layers,
            "heads": self.heads * (len(SHARES) - 1),
            "units": self.units * (len(SHARES) - 1),
            "words": self.words * (len(WORDS) - 1),
            "table": self.table * (len(TABLE) - 1),
            "rank": self.rank * (len(RANKS) - 1),
        }
        for axis, degree in asdict(structure).items():
            if degree < most[axis]:
                yield replace(structure, **{axis: degree + 1})
