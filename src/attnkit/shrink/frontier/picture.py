"""The picture of a frontier: what each network costs, and how well it does."""

import io
from pathlib import Path

from attnkit.files import write_bytes
from attnkit.shrink.frontier.account import Account
from attnkit.shrink.frontier.measuring import cost

_BLUE, _ORANGE, _GRAY = "#1e5fb3", "#b3541e", "#9a9a9a"
_MARKS = {"float32": "o", "bfloat16": "s", "8 bits": "^", "4 bits": "v", "int8 products": "D"}


def draw_frontier(folder: Path, account: Account) -> None:
    """Write frontier.svg and frontier.png: all that was measured, the points that were kept, and the parent."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import StrMethodFormatter

    size = account.target == "size"
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "attnkit"}):
        figure = Figure(figsize=(7.6, 4.6), layout="constrained")
        axes = figure.subplots()
        whole = next(m for m in account.measured if m.structure.whole and m.numbers == "float32")
        scale = 1 / 1e6 if size else 1.0
        for name, mark in _MARKS.items():
            some = [one for one in account.measured if one.numbers == name]
            axes.scatter(
                [cost(account, one) * scale for one in some],
                [one.value for one in some],
                marker=mark, s=26, facecolors="none", edgecolors=_GRAY, linewidths=1.0,
            )  # fmt: skip
        marks = {(one.structure, one.numbers): cost(account, one) * scale for one in account.measured}
        kept = sorted(account.kept, key=lambda one: marks[one.structure, one.numbers])
        where = [marks[one.structure, one.numbers] for one in kept]
        axes.plot(where, [one.value for one in kept], color=_BLUE, linewidth=1.2, zorder=2)
        for x, one in zip(where, kept, strict=True):
            spread = [[one.value - one.low], [one.high - one.value]]
            axes.errorbar(x, one.value, yerr=spread, color=_BLUE, elinewidth=0.8, zorder=2)
            axes.scatter(x, one.value, marker=_MARKS[one.numbers], s=46, color=_BLUE, zorder=3)
        axes.scatter(cost(account, whole) * scale, account.before["value"], marker="*", s=150, color=_ORANGE, zorder=3)
        worst = account.before["value"] + (-1 if account.higher_is_better else 1) * account.max_loss
        axes.axhline(worst, color=_ORANGE, linestyle="--", linewidth=1.0)
        axes.set_xscale("log")
        for axis in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
            axis(StrMethodFormatter("{x:g}"))
        axes.set_xlabel(
            "on disk, MB: weights and tokenizer" if size else "processor time for one text, as a share of the parent's"
        )
        axes.set_ylabel(f"{account.measure.replace('_', ' ')} on {account.validation_rows:,} validation rows")
        _legend(axes, account)
        for ending in ("svg", "png"):
            held = io.BytesIO()
            figure.savefig(held, format=ending, dpi=130, metadata={"Date": None} if ending == "svg" else None)
            write_bytes(folder / f"frontier.{ending}", held.getvalue())


def _legend(axes: "object", account: Account) -> None:
    from matplotlib.lines import Line2D

    found = {one.numbers for one in account.measured}
    lines = [
        Line2D([], [], color=_ORANGE, marker="*", markersize=11, linestyle="", label="parent"),
        Line2D([], [], color=_ORANGE, linestyle="--", label=f"loses {account.max_loss:g}"),
        Line2D([], [], color=_BLUE, marker="o", label="kept, with 95 % interval"),
    ]
    for name, mark in _MARKS.items():
        if name in found:
            lines.append(
                Line2D([], [], color=_GRAY, marker=mark, markerfacecolor="none", linestyle="", label=f"in {name}")
            )
    axes.legend(  # type: ignore[attr-defined]
        handles=lines, frameon=False, fontsize=8, ncols=4, loc="lower left", bbox_to_anchor=(0.0, 1.0)
    )
