"""Curves over the steps of a training, as SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

# Narrow enough that its letters can be read on a phone.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 440, 200, 52, 12, 14, 28


def curve(history: Sequence[Mapping[str, Any]], lines: Sequence[tuple[str, str, str]]) -> str:
    """Lines over steps as SVG with a legend: each of `lines` is a name, a color and a key of `history`'s lines."""
    values = [float(line[key]) for line in history for _, _, key in lines]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    last = max(int(line["step"]) for line in history) or 1
    paths, legend = [], []
    for name, color, key in lines:
        places = [
            (
                LEFT + int(line["step"]) / last * (WIDTH - LEFT - RIGHT),
                HEIGHT - BOTTOM - (float(line[key]) - low) / span * (HEIGHT - TOP - BOTTOM),
            )
            for line in history
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        paths.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{points}"/>')
        if len(places) == 1:
            # A line of one point is not seen.
            paths.append(f'<circle cx="{places[0][0]:.1f}" cy="{places[0][1]:.1f}" r="3" fill="{color}"/>')
        legend.append(f'<span style="color:{color}">■</span> {escape(name)}')
    grid = "".join(f'<path d="M{LEFT} {y}H{WIDTH - RIGHT}" stroke="#ddd"/>' for y in (TOP, (TOP + HEIGHT - BOTTOM) / 2))
    ticks = [(TOP, high), ((TOP + HEIGHT - BOTTOM) / 2, (low + high) / 2), (HEIGHT - BOTTOM, low)]
    labels = "".join(f'<text x="{LEFT - 6}" y="{y + 4:g}" text-anchor="end">{_tick(v, span)}</text>' for y, v in ticks)
    labels += f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 8}" text-anchor="end">step {last:,}</text>'
    axes = f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#888"/>'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="{escape(lines[0][0])}"'
    told = f"<figcaption>{' &nbsp; '.join(legend)}</figcaption>"
    return f"<figure>{told}<svg {size}>{grid}{axes}{''.join(paths)}{labels}</svg></figure>"


def _tick(value: float, span: float) -> str:
    return "0" if abs(value) < 1e-3 * span else f"{value:.3g}"
