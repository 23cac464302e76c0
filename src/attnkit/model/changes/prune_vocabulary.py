"""Prune the vocabulary: the rows of rare words go, and these words become the unknown one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

from attnkit.model.changes.base import Change
from attnkit.model.changes.places import put, refuse_language, table
from attnkit.model.changes.slices import part_of
from attnkit.model.embedding import SEPARATOR

_WORDS = "embedding.rows"
_RANGES = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


@dataclass(frozen=True)
class PruneVocabulary(Change):
    """Keep the rows `kept` of the table of words, written as ranges ("0-4999,5003"), of the `rows` there were.

    The tokenizer goes with it: words of the other rows are unknown from then on, and the rest are numbered anew. That
    is for tokenizers whose tokens are whole words or characters: the pieces of bpe and wordpiece are made of one
    another, so that without one of them other words would be cut otherwise.

    Raises: ValueError where rows are not in order, special ones go, or other tables are numbered by the vocabulary.
    """

    kind: ClassVar[str] = "prune_vocabulary"

    kept: str
    rows: int

    def __post_init__(self) -> None:
        numbers = self.numbers()
        if numbers != sorted(set(numbers)) or numbers[: SEPARATOR + 1] != list(range(SEPARATOR + 1)):
            raise ValueError(
                f"prune_vocabulary.kept holds rising ranges, and the special rows 0-{SEPARATOR}; got {self.kept[:60]!r}"
            )
        if numbers[-1] >= self.rows or len(numbers) == self.rows:
            raise ValueError(
                f"prune_vocabulary.kept keeps {len(numbers)} rows up to {numbers[-1]}, of {self.rows}; keep fewer"
            )

    def numbers(self) -> list[int]:
        """The rows that stay."""
        if not _RANGES.fullmatch(self.kept):
            raise ValueError(
                f"prune_vocabulary.kept is written as ranges, such as '0-4999,5003'; got {self.kept[:60]!r}"
            )
        bounds = [part.partition("-") for part in self.kept.split(",")]
        if any(int(last or first) > 10_000_000 for first, _, last in bounds):
            raise ValueError("prune_vocabulary.kept names rows beyond ten million; no vocabulary has so many")
        return [row for first, _, last in bounds for row in range(int(first), int(last or first) + 1)]

    def apply(self, network: nn.Module) -> None:
        """Take the rows out of the table."""
        refuse_language(network)
        kept, words = self.numbers(), table(network, _WORDS)
        if len(words.weight) != self.rows:
            raise ValueError(f"it is for a vocabulary of {self.rows} rows, and this one has {len(words.weight)}")
        if getattr(network, "wide", None) is not None:
            raise ValueError(
                "the n-grams of the wide branch are numbered by the vocabulary; train with --wide-ngrams 0 first"
            )
        if getattr(network, "ngrams", None) is not None and kept != list(range(len(kept))):
            raise ValueError("hashed n-grams go by the numbers of words; keep the first rows alone, '0-N'")
        with torch.no_grad():
            weight = part_of(words.weight, 0, kept)
        made = nn.Embedding(len(kept), words.embedding_dim, padding_idx=words.padding_idx, device="meta")
        made.weight = weight
        put(network, _WORDS, made)

    def vocabulary_before(self, size: int) -> int:
        """As many rows as it keeps some of."""
        kept = len(self.numbers())
        if kept != size:
            raise ValueError(f"prune_vocabulary keeps {kept} rows, and the tokenizer knows {size} tokens")
        return self.rows


def as_ranges(rows: Sequence[int]) -> str:
    """Rising numbers as ranges: [0, 1, 2, 5] is "0-2,5"."""
    parts: list[list[int]] = []
    for row in rows:
        if parts and row == parts[-1][1] + 1:
            parts[-1][1] = row
        else:
            parts.append([row, row])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)
