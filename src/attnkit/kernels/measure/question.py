"""Question: what does ours cost beside the other, and is that what was promised?"""

from dataclasses import dataclass

import torch

from attnkit.attention.part import Dims
from attnkit.kernels import native
from attnkit.kernels.measure.equality import differs
from attnkit.kernels.measure.pairs import Ratio, measured
from attnkit.kernels.measure.side import Shape, Side
from attnkit.kernels.native import library
from attnkit.kernels.plan import plan
from attnkit.kernels.situation import Situation


@dataclass(frozen=True)
class Question:
    """`ours` against `other`: a share of its time at most, or so many times sooner at least.

    `native` and `pure` are the bounds with the native loops and without; None where nothing was promised there.
    """

    name: str
    ours: Side
    other: Side
    gradients: bool
    sooner: bool = False
    native: float | None = None
    pure: float | None = None

    @property
    def passes(self) -> str:
        """Which passes are timed."""
        return "forward and backward" if self.gradients else "forward"


@dataclass(frozen=True)
class Answer:
    """What was measured for a question on `shape`, with loops or without; `fault` says why nothing was."""

    question: Question
    shape: Shape
    loops: bool
    kernel: str
    ratio: Ratio | None
    fault: str | None = None

    @property
    def bound(self) -> float | None:
        """What was promised here."""
        return self.question.native if self.loops else self.question.pure

    @property
    def kept(self) -> bool | None:
        """True where the promise is kept; None where there is none for this shape, or the spread does not tell."""
        if self.fault or self.ratio is None:
            return False
        if not self.promised:
            return None
        assert self.bound is not None
        beyond = self.ratio.median - self.bound
        missed = -beyond if self.question.sooner else beyond
        return True if missed <= 0 else None if missed <= self.ratio.half_width else False

    @property
    def promised(self) -> bool:
        """True where something was promised, which was for the full shape."""
        return self.bound is not None and self.shape == self.question.ours.shape

    def row(self) -> tuple[str, ...]:
        """Name, passes, shape, kernel, loops, measured, promised, kept."""
        question = self.question
        sign = "≥" if question.sooner else "≤"
        promised = "" if self.bound is None else f"{sign} {self.bound:g}"
        kept = {True: "yes", False: "NO", None: "unsure" if self.promised else ""}[self.kept]
        shown = self.fault or str(self.ratio)
        beside = f"{question.name} ({'times sooner than' if question.sooner else 'of'} {question.other.label})"
        loops = "native" if self.loops else "plain"
        return beside, question.passes, str(self.shape), self.kernel, loops, shown, promised, kept

    def to_dict(self) -> dict[str, object]:
        """As plain data: the row, with numbers."""
        ratio = self.ratio
        return {
            **dict(zip(COLUMNS[:5], self.row()[:5], strict=True)),
            "ratio": ratio and ratio.median,
            "half_width": ratio and ratio.half_width,
            "wall_ratio": ratio and ratio.wall,
            "pairs": ratio and ratio.pairs,
            "seconds": ratio and ratio.seconds,
            "promised": self.bound,
            "kept": self.kept,
            "fault": self.fault,
        }


COLUMNS = ("question", "passes", "shape", "kernel", "loops", "ratio", "promised", "kept")


def answers(question: Question, pairs: int, most_seconds: float, tokens: int | None = None) -> list[Answer]:
    """The answer with native loops, where there are any and they matter, and the one without.

    Equality is checked before anything is timed. `tokens` shortens the question.
    """
    found = []
    if native.library() is not None and question.native is not None:
        found.append(_answer(question, True, pairs, most_seconds, tokens))
    if question.pure is not None or not found:
        with native.without_native():
            found.append(_answer(question, False, pairs, most_seconds, tokens))
    return found


def _answer(question: Question, loops: bool, pairs: int, most_seconds: float, tokens: int | None) -> Answer:
    ours = question.ours if tokens is None else question.ours.at_most(tokens)
    other = question.other if tokens is None else question.other.at_most(tokens)
    kernel = kernel_of(ours, question.gradients)
    fault = differs(ours, kernel, question.gradients)
    if fault:
        return Answer(question, ours.shape, loops, kernel, None, fault)
    ratio = measured(ours.task(question.gradients), other.task(question.gradients), pairs, most_seconds)
    return Answer(question, ours.shape, loops, kernel, ratio.faster() if question.sooner else ratio)


def kernel_of(side: Side, gradients: bool) -> str:
    """The kernel that the plan chooses for a side."""
    assert side.spec is not None
    return plan(side.spec, situation_of(side, gradients)).kernel.name


def situation_of(side: Side, gradients: bool) -> Situation:
    """The situation of a side's call."""
    assert side.spec is not None
    shape = side.shape
    return Situation(
        batch=shape.B,
        heads=shape.H,
        key_heads=shape.H,
        width=shape.D,
        value_width=shape.E,
        T=shape.T,
        S=shape.S or shape.T,
        dtype=shape.dtype,
        device="cpu",
        needs_grad=gradients,
        learns=gradients and bool(side.spec.parameters(Dims(shape.H, shape.D, shape.E))),
        intent="train",
        dropout=side.dropout > 0,
        keep=bool(side.lengths),
        query_keep=False,
        lengths=bool(side.lengths),
        documents=False,
        aligned=True,
        threads=torch.get_num_threads(),
        loops=library() is not None,
    )
