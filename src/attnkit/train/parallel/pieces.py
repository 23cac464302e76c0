"""Pieces: a batch cut so that any number of processes computes the same sum, dropout included."""

from collections.abc import Sequence
from dataclasses import dataclass

from attnkit.errors import UsageError
from attnkit.train.choices import Choices
from attnkit.train.parallel.processes import Processes


@dataclass(frozen=True)
class Piece:
    """Number `number` of the pieces of a batch: its rows, and their share of the batch's mean."""

    number: int
    rows: Sequence[int]
    share: float


def cut(numbers: Sequence[int], pieces: int) -> list[Piece]:
    """`numbers` dealt out to at most `pieces` pieces, none of them empty, as like one another as can be."""
    rows = [numbers[start::pieces] for start in range(min(pieces, len(numbers)))]
    return [Piece(number, held, len(held) / len(numbers)) for number, held in enumerate(rows)]


def deal(numbers: Sequence[int], pieces: int, processes: Processes) -> list[Piece]:
    """The pieces of a batch that this process computes: number i goes to process i mod P.

    Every process gets as many, since they meet after each: one that would get fewer computes a row that weighs nothing.
    """
    whole = cut(numbers, pieces)
    rounds = -(-len(whole) // processes.size)
    idle = [Piece(number, numbers[:1], 0.0) for number in range(len(whole), rounds * processes.size)]
    return [*whole, *idle][processes.rank :: processes.size]


def stream(seed: int, step: int, piece: int) -> int:
    """The seed of the random numbers of one piece of one step."""
    return (seed * 1_000_003 + step) * 4_099 + piece


def settle_pieces(choices: Choices, processes: int) -> None:
    """Give each of several processes one piece of a batch where the recipe says nothing of pieces."""
    if choices.recipe.train.accumulate == 1 and processes > 1:
        train = choices.recipe.train.model_copy(update={"accumulate": processes})
        choices.recipe = choices.recipe.model_copy(update={"train": train})
        choices.reasons["train.accumulate"] = f"{processes} processes share a batch"


def check_pieces(pieces: int, processes: int) -> None:
    """Hold the pieces of a batch to be as many for every process.

    Raises: UsageError where they are not.
    """
    if pieces % processes:
        raise UsageError(
            f"the pieces of a batch are dealt out to all processes alike, and train.accumulate = {pieces} is no "
            f"multiple of {processes} processes; use a number of processes that divides it, or train anew with another"
        )
