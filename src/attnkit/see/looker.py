"""Looker: a model that can be looked at, with what turns texts into its inputs and says what it answered."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from attnkit.train.predictor import Predictor, Text


@dataclass(frozen=True, eq=False)
class Inputs:
    """Texts as a model takes them.

    `run` feeds them to the model and gives a sentence an item: what it answered. `streams` are the tokens of each item
    by the name of the text they stand in, `sides` names the streams of a layer's queries and keys where the layer's
    name begins as said; `cut` counts the tokens of each item beyond the limit.
    """

    run: Callable[[], list[str]]
    streams: dict[str, list[list[str]]]
    sides: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    cut: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Looker:
    """`model` in evaluation mode, and `encode`, which turns texts into its inputs.

    `predictor` is there where it is a run, `tokenizer` where it is a model of transformers.
    """

    title: str
    model: nn.Module
    encode: Callable[[Sequence[Text]], Inputs]
    predictor: Predictor | None = None
    tokenizer: Any = None
