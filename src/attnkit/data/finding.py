"""A finding: one thing about the data that its owner should know, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

from attnkit.data.examples import Example

LEVELS = ("error", "warning", "note")
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence about the data, its level ("error", "warning" or "note") and every place it speaks of."""

    level: str
    sentence: str
    places: tuple[str, ...] = ()


def finding(level: str, statement: str, examples: Sequence[Example] = (), advice: str = "") -> Finding:
    """A finding whose sentence is the statement, the first three places in brackets, and the advice."""
    places = tuple(example.place for example in examples)
    brackets = f" ({_shown(examples)})" if places else ""
    return Finding(level, f"{statement}{brackets}{f'; {advice}' if advice else ''}.", places)


def split_words(name: str) -> str:
    """How a sentence calls a split: `the test split`, or `the data` where it is not split."""
    return "the data" if name == "all" else f"the {name} split"


def counted(count: int, one: str, several: str) -> str:
    """`1 row is` or `1,200 rows are`."""
    return f"{count:,} {one if count == 1 else several}"


def _shown(examples: Sequence[Example]) -> str:
    """The first places, a file named only where it changes: `train.csv:3, 7, test.csv:2, ...`."""
    first = examples[:_SHOWN]
    files = ["", *(example.file for example in first)]
    places = [
        str(example.line) if example.file == before else example.place
        for before, example in zip(files, first, strict=False)
    ]
    return ", ".join(places) + (", ..." if len(examples) > _SHOWN else "")
