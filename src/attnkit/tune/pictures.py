"""The pictures of a study: its course, what mattered, each field by itself, and all fields together."""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from attnkit.tune.account import TrialLine
from attnkit.tune.plan import Plan
from attnkit.tune.space import Range, label_of

BLUE, ORANGE, GRAY, GREEN = "#1e5fb3", "#b3541e", "#999999", "#2f7d32"
_DOTS = 130
_LONGEST_LABEL = 18
_MOST_LINES = 300


def as_address(figure: Any) -> str:
    """The figure as a PNG in a data: address, so that a page needs no other file."""
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=_DOTS)
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")


def history(lines: Sequence[TrialLine], plan: Plan) -> Any:
    """The figure of each trial in the order of their beginnings, and the best so far."""
    figure, axes = _figure(7.2, 3.0)
    complete = [line for line in lines if line.state == "complete"]
    pruned = [line for line in lines if line.state == "pruned"]
    axes.scatter([x.number for x in pruned], [_value(x) for x in pruned], c=GRAY, marker="x", s=22, label="pruned")
    axes.scatter([x.number for x in complete], [_value(x) for x in complete], c=BLUE, s=22, label="complete")
    best, course = None, []
    for line in complete:
        best = _value(line) if plan.better(_value(line), best) else best
        course.append(best)
    axes.step([line.number for line in complete], course, where="post", color=GREEN, label="best so far")
    bad = [x.number for x in lines if x.state in ("failed", "impossible", "lost", "stopped")]
    for at, number in enumerate(bad):
        axes.axvline(number, color=ORANGE, alpha=0.45, lw=1, label="without a figure" if at == 0 else None)
    axes.set(xlabel="trial", ylabel=plan.measure.replace("_", " "))
    axes.legend(frameon=False, fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0.0, 1.0))
    return figure


def importance_bars(shares: dict[str, float]) -> Any:
    """The share of each field, largest on top."""
    figure, axes = _figure(7.2, 0.7 + 0.32 * len(shares))
    names = list(reversed(shares))
    drawn = axes.barh(names, [shares[name] for name in names], color=BLUE)
    axes.bar_label(drawn, [f"{shares[name]:.2f}" for name in names], padding=3, fontsize=8)
    axes.set(xlabel="share of the spread that is explained", xlim=(0, 1.12 * max(shares.values())))
    return figure


def slices(lines: Sequence[TrialLine], plan: Plan) -> Any:
    """The figures over the values of each field."""
    shown = [line for line in lines if line.state in ("complete", "pruned")]
    names = list(plan.space.axes)
    columns = min(3, len(names))
    rows = math.ceil(len(names) / columns)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.1 * columns, 2.5 * rows), layout="constrained")
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(rows, columns, place)
        axis = plan.space.axes[name]
        for state, color, mark in (("pruned", GRAY, "x"), ("complete", BLUE, "o")):
            held = [line for line in shown if line.state == state]
            across = [_across(axis, line.setting[name]) for line in held]
            # Values of a list would lie on one another.
            spread = np.random.default_rng(0).uniform(-0.12, 0.12, len(held)) * (not isinstance(axis, Range))
            axes.scatter(np.array(across) + spread, [_value(line) for line in held], c=color, marker=mark, s=14)
        axes.set_title(name, fontsize=8)
        axes.tick_params(labelsize=7)
        if isinstance(axis, Range):
            axes.set_xscale("log" if axis.log else "linear")
        else:
            axes.set_xticks(range(len(axis.labels)), [_short(label) for label in axis.labels], rotation=25, ha="right")
            axes.set_xlim(-0.5, len(axis.labels) - 0.5)
    return figure


def parallel(lines: Sequence[TrialLine], plan: Plan) -> Any:
    """Every complete setting as a line through all fields, colored by its figure; the best is drawn last and thick."""
    complete = [line for line in lines if line.state == "complete"]
    complete.sort(key=lambda line: _value(line) if plan.higher_is_better else -_value(line))
    complete = complete[-_MOST_LINES:]
    names = list(plan.space.axes)
    figure, axes = _figure(max(7.2, 1.15 * len(names)), 3.6)
    low, high = _value(complete[0]), _value(complete[-1])
    from matplotlib import colormaps

    colors = colormaps["viridis_r"]
    for place, line in enumerate(complete):
        heights = [_height(plan.space.axes[name], line.setting[name]) for name in names]
        share = (_value(line) - low) / (high - low) if high != low else 1.0
        last = place == len(complete) - 1
        axes.plot(
            range(len(names)), heights, color=ORANGE if last else colors(share), lw=2.4 if last else 0.9, alpha=0.9
        )
    for at, name in enumerate(names):
        axes.axvline(at, color="#cccccc", lw=0.8, zorder=0)
        for height, text in _ends(plan.space.axes[name]):
            # Lines run behind the words.
            ground = {"facecolor": "white", "edgecolor": "none", "alpha": 0.75, "pad": 0.6}
            axes.text(at + 0.03, height, text, fontsize=6.5, va="center", color="#333333", bbox=ground, zorder=3)
    axes.set_xticks(range(len(names)), [name.partition(".")[2] for name in names], fontsize=7, rotation=15, ha="right")
    axes.set(yticks=[], xlim=(-0.1, len(names) - 0.5), ylim=(-0.06, 1.06))
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    return figure


def _figure(wide: float, high: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(wide, high), layout="constrained")
    axes = figure.add_subplot()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def _value(line: TrialLine) -> float:
    return float("nan") if line.value is None else line.value


def _across(axis: Any, value: Any) -> float:
    return float(value) if isinstance(axis, Range) else float(axis.labels.index(label_of(value)))


def _height(axis: Any, value: Any) -> float:
    if not isinstance(axis, Range):
        return axis.labels.index(label_of(value)) / max(1, len(axis.labels) - 1)
    low, high, here = (math.log(x) if axis.log else x for x in (axis.low, axis.high, value))
    return float((here - low) / (high - low))


def _ends(axis: Any) -> list[tuple[float, str]]:
    if isinstance(axis, Range):
        return [(0.0, f"{axis.low:.3g}"), (1.0, f"{axis.high:.3g}")]
    last = max(1, len(axis.labels) - 1)
    return [(at / last, _short(label)) for at, label in enumerate(axis.labels)]


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
