"""Curves over the steps of a training, as SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, MARGIN = 640, 220, 40


def curve(history: Sequence[Mapping[str, Any]], lines: Sequence[tuple[str, str, str]]) -> str:
    """Lines over steps as SVG with a legend: each of `lines` is a name, a color and a key of `history`'s lines."""
    values = [float(line[key]) for line in history for _, _, key in lines]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    last = max(int(line["step"]) for line in history) or 1
    paths, legend = [], []
    for name, color, key in lines:
        points = " ".join(
            f"{MARGIN + int(line['step']) / last * (WIDTH - 2 * MARGIN):.1f},"
            f"{HEIGHT - 25 - (float(line[key]) - low) / span * (HEIGHT - 45):.1f}"
            for line in history
        )
        paths.append(f'<polyline fill="none" stroke="{color}" stroke-width="2" points="{points}"/>')
        legend.append(f'<span style="color:{color}">■</span> {escape(name)}')
    texts = [(2, 18, f"{high:.3g}"), (2, HEIGHT - 25, f"{low:.3g}"), (WIDTH - 110, HEIGHT - 6, f"step {last:,}")]
    labels = "".join(f'<text x="{x}" y="{y}" font-size="11">{text}</text>' for x, y, text in texts)
    size = f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{escape(lines[0][0])}"'
    return f"<p>{' &nbsp; '.join(legend)}</p><svg {size}>{''.join(paths)}{labels}</svg>"
