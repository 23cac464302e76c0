"""CaptureDiff: the heads that changed, ranked, with the verdict that the null allows."""

import math
from collections import Counter
from dataclasses import dataclass

# Statistics whose change is told beside the divergence.
MEASURES = ("entropy", "span", "distance", "sink")
# Divergence that rounding alone gives: rows are made in float32, and compared in float64.
ROUNDING = 1e-9
# The part of all heads' null divergences that a change has to be beyond, beside its own head's.
BEYOND = 0.95
NO_NULL = (
    "No null was given, and so there is no verdict: maps of two equally good models differ by 0.36 to 0.46 across "
    "seeds. Give a capture of what should count as none: the same number of updates on source data, or another kernel."
)


@dataclass(frozen=True)
class HeadChange:
    """What changed in one head.

    `divergence` is the mean JSD / ln 2 over real queries, 0 to 1, from what `basis` says ("rows", "pooled": a lower
    bound), None where `basis` is the reason why not. `nulls` are the divergences of the first capture from each null.
    `measures` holds (before, after) of each of MEASURES that both sides have, means over real queries; `roles` the best
    name before and after, None for a head without one.
    """

    layer: str
    head: int
    divergence: float | None
    basis: str
    nulls: tuple[float, ...]
    measures: dict[str, tuple[float | None, float | None]]
    roles: tuple[str | None, str | None]

    @property
    def null(self) -> float | None:
        """The largest null divergence of this head; None without a null."""
        return max(self.nulls, default=None)

    @property
    def excess(self) -> float | None:
        """How far the divergence is beyond the null, or beyond 0 without one."""
        return None if self.divergence is None else self.divergence - (self.null or 0.0)

    def change(self, name: str) -> float | None:
        """After minus before of one of MEASURES; None where a side lacks it."""
        before, after = self.measures.get(name, (None, None))
        return None if before is None or after is None else after - before


@dataclass(frozen=True)
class CaptureDiff:
    """Two captures of one input, head by head, the most changed first, beside `null_count` nulls.

    `missing` are sentences on layers and heads that one side lacks, `notes` on what else should be read.
    """

    heads: tuple[HeadChange, ...]
    null_count: int
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    first: str = ""
    second: str = ""

    @property
    def threshold(self) -> float | None:
        """The divergence that 95 % of all heads' nulls stay within; None without a null."""
        every = sorted(value for one in self.heads for value in one.nulls)
        return every[min(len(every) - 1, math.ceil(BEYOND * len(every)) - 1)] if every else None

    def changed(self, one: HeadChange) -> bool | None:
        """True where a head is further from the first than its own nulls and 95 % of all; None where nobody can say."""
        threshold = self.threshold
        if one.divergence is None or one.null is None or threshold is None:
            return None
        return one.divergence > max(one.null, threshold) + ROUNDING

    @property
    def verdict(self) -> str:
        """One sentence: how many heads changed by more than the null, or why there is no saying."""
        compared = [one for one in self.heads if one.divergence is not None]
        if not compared:
            return f"Nothing could be compared: {self._reasons() or 'there is no layer that both have'}."
        if self.threshold is None:
            return NO_NULL
        changed = sum(self.changed(one) is True for one in compared)
        judged = sum(self.changed(one) is not None for one in compared)
        own = _median([one.divergence for one in compared if one.divergence is not None])
        null = _median([value for one in compared for value in one.nulls])
        return (
            f"{changed} of {judged} heads changed by more than their null and 95 % of all heads' "
            f"({self.threshold:.3g}); the median divergence is {own:.3g}, that of the null {null:.3g}."
        )

    def to_dict(self) -> dict[str, object]:
        """Plain data."""
        return {
            "first": self.first,
            "second": self.second,
            "verdict": self.verdict,
            "null_count": self.null_count,
            "threshold": self.threshold,
            "missing": list(self.missing),
            "notes": list(self.notes),
            "heads": [self._plain(rank, one) for rank, one in enumerate(self.heads, 1)],
        }

    def __str__(self) -> str:
        """The verdict, and a table of the 20 heads that changed the most."""
        return self.table(20)

    def table(self, most: int) -> str:
        """The verdict, a table of up to `most` heads, and what is missing."""
        head = ("", "layer", "head", "JSD", "null", *(f"Δ {name}" for name in MEASURES), "role")
        lines = [head, *(self._line(rank, one) for rank, one in enumerate(self.heads[:most], 1))]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        left = {1, len(head) - 1}

        def row(cells: tuple[str, ...]) -> str:
            padded = (
                cell.ljust(width) if place in left else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
            )
            return "  ".join(padded).rstrip()

        more = [f"... and {len(self.heads) - most} more"] if len(self.heads) > most else []
        basis = Counter(one.basis for one in self.heads)
        lower = ["JSD of pooled maps is a lower bound of that of their rows."] if basis["pooled"] else []
        reasons = self._reasons()
        some = any(one.divergence is not None for one in self.heads)
        undone = [f"Not compared: {reasons}."] if reasons and some else []
        return "\n".join([self.verdict, "", *map(row, lines), *more, *lower, *undone, *self.missing, *self.notes])

    def _reasons(self) -> str:
        counted = Counter(one.basis for one in self.heads if one.divergence is None)
        return "; ".join(f"{count} heads ({reason})" for reason, count in counted.items())

    def _line(self, rank: int, one: HeadChange) -> tuple[str, ...]:
        mark = "*" if self.changed(one) else ""
        deltas = (one.change(name) for name in MEASURES)
        before, after = (role or "-" for role in one.roles)
        role = before if before == after else f"{before} -> {after}"
        numbers = [_said(one.divergence), _said(one.null), *(_said(delta, "+.3g") for delta in deltas)]
        return (f"{mark}{rank}", one.layer, str(one.head), *numbers, role)

    def _plain(self, rank: int, one: HeadChange) -> dict[str, object]:
        return {
            "rank": rank,
            "layer": one.layer,
            "head": one.head,
            "divergence": one.divergence,
            "basis": one.basis,
            "null": one.null,
            "nulls": list(one.nulls),
            "excess": one.excess,
            "changed": self.changed(one),
            "measures": {
                name: {"before": before, "after": after, "change": one.change(name)}
                for name, (before, after) in one.measures.items()
            },
            "role": {"before": one.roles[0], "after": one.roles[1], "changed": one.roles[0] != one.roles[1]},
        }


def _said(value: float | None, form: str = ".3g") -> str:
    return "-" if value is None else format(value, form)


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2.0
