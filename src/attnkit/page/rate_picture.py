"""The picture of a range test: the loss at each learning rate, and the rates that mean something."""

import io
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from attnkit.files import write_bytes


def draw_rates(
    path: str | os.PathLike[str],
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    marks: Mapping[str, float],
    title: str = "",
) -> Path:
    """Draw losses over rates, which stand at equal distances for equal factors, as a PNG file.

    `marks` are rates by what is said of each.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axes = figure.subplots()
    axes.plot(rates, losses, color="0.75", linewidth=0.8, label="loss of a step")
    axes.plot(rates, smoothed, color="tab:blue", linewidth=1.8, label="smoothed")
    for (said, rate), color in zip(marks.items(), ("tab:orange", "tab:green", "0.4", "tab:red"), strict=False):
        axes.axvline(rate, color=color, linestyle="--", linewidth=1.2, label=f"{said} {rate:.2g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("training loss")
    # The last losses may be a thousand times those that the picture is about.
    low, high = min(smoothed), max(smoothed)
    margin = 0.08 * (high - low) or math.ulp(1.0)
    axes.set_ylim(low - margin, high + margin)
    axes.set_title(title, fontsize=10, parse_math=False)
    axes.legend(fontsize=9, frameon=False, loc="best")
    held = io.BytesIO()
    figure.savefig(held, format="png", dpi=130)
    write_bytes(path, held.getvalue())
    return Path(path)
