"""Lessons: what a teacher says of the training rows, by the number of the row."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Looks:
    """Where a teacher looks in one text: `weights` (U,) of its units, and to which of them each of the student's tokens
    belongs, `owner` (T,), U where it belongs to none.

    A unit is a token where teacher and student cut texts alike, and a run of letters between white space otherwise.
    """

    weights: Tensor
    owner: Tensor


@dataclass(frozen=True)
class Lessons:
    """Logits (n, C) in the student's classes and units, and what else was asked for: summaries (n, W), a look a row."""

    logits: Tensor
    summaries: Tensor | None = None
    looks: Sequence[Looks] | None = None
