"""An attribution: one number a token, and how it came about."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from attnkit.errors import FailedError
from attnkit.see.explain.target import Item, Subject, Target


@dataclass(frozen=True)
class Attribution:
    """One number a token for one prediction; the higher, the more the token spoke for `target`.

    `note` says in a sentence what whoever looks should know, and `details` holds numbers that belong to it.
    """

    method: str
    tokens: tuple[str, ...]
    scores: tuple[float, ...]
    target: Target
    seconds: float
    note: str = ""
    details: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        """Plain data for JSON."""
        return {
            "method": self.method,
            "tokens": list(self.tokens),
            "scores": list(self.scores),
            "target": self.target.to_dict(),
            "seconds": self.seconds,
            "note": self.note,
            "details": dict(self.details),
        }


class Method(Protocol):
    """A way to explain: from a text to one number a token."""

    def __call__(self, subject: Subject, item: Item, *, target: Target | None = None) -> Attribution:
        """The attribution of one text; of the likeliest class where no `target` is given."""
        ...


# Scores (T,), a note and its numbers.
Found = tuple[Tensor, str, dict[str, float]]


def attributed(
    method: str, subject: Subject, item: Item, target: Target | None, work: Callable[[Target], Found]
) -> Attribution:
    """The attribution that `work` finds; tokens that cannot be taken away, and empty texts, are no special case to it.

    Raises: FailedError where a score is not finite.
    """
    started = time.perf_counter()
    # A caller's inference mode would make tensors that gradients cannot pass.
    with torch.inference_mode(False):
        target = subject.target(item) if target is None else target
        if not item.T:
            return Attribution(method, (), (), target, time.perf_counter() - started, "a text without a token")
        scores_T, note, details = work(target)
    scores = tuple(float(score) for score in scores_T[: item.T].detach().double())
    if not all(math.isfinite(score) for score in scores):
        raise FailedError(f"{method} gave a score that is not finite; the model's answers are beyond its number format")
    return Attribution(method, item.tokens, scores, target, time.perf_counter() - started, note, details)
