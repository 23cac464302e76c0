"""A picture of intervals: one row a name, a point with its interval, and small dots for single values."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from attnkit.page.letters import plain_letters

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 560, 26, 150, 18, 10, 34
MOST_LETTERS = 24
COLOR, FAINT, LINE = "#0072b2", "#999", "#d55e00"


@dataclass(frozen=True)
class Row:
    """One name with its value, interval and single values; `strong` draws it in full color."""

    name: str
    value: float
    low: float
    high: float
    each: tuple[float, ...] = ()
    strong: bool = True


def intervals(rows: Sequence[Row], title: str, *, mark: float | None = None, alone: bool = False) -> str:
    """The rows from top to bottom as SVG, over an axis named `title`; `mark` draws a line across all of them.

    `alone` makes it a file of its own.
    """
    values = [x for row in rows for x in (row.low, row.high, row.value, *row.each)]
    if mark is not None:
        values.append(mark)
    low, high = min(values), max(values)
    margin = 0.04 * (high - low) or 0.5
    low, high = low - margin, high + margin
    height = TOP + ROW * len(rows) + BOTTOM

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    parts = []
    for tick in range(5):
        value = low + margin + (high - low - 2 * margin) * tick / 4
        parts.append(f'<path d="M{x(value):.1f} {TOP}V{height - BOTTOM}" stroke="#e2e2e2"/>')
        parts.append(f'<text x="{x(value):.1f}" y="{height - BOTTOM + 14}" text-anchor="middle">{value:.4g}</text>')
    if mark is not None:
        parts.append(f'<path d="M{x(mark):.1f} {TOP}V{height - BOTTOM}" stroke="{LINE}" stroke-dasharray="4 3"/>')
    for number, row in enumerate(rows):
        y = TOP + ROW * number + ROW / 2
        color = COLOR if row.strong else FAINT
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(row.name)}</text>')
        parts.append(f'<path d="M{x(row.low):.1f} {y:.1f}H{x(row.high):.1f}" stroke="{color}" stroke-width="2.5"/>')
        parts += [f'<circle cx="{x(one):.1f}" cy="{y + 7:.1f}" r="1.8" fill="#555"/>' for one in row.each]
        parts.append(f'<circle cx="{x(row.value):.1f}" cy="{y:.1f}" r="4.5" fill="{color}"/>')
    parts.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{height - 4}" text-anchor="middle">{escape(title)}</text>')
    return svg("".join(parts), WIDTH, height, title, alone)


def svg(body: str, width: int, height: float, label: str, alone: bool) -> str:
    """The drawing in its frame; as a file of its own it carries its font and its ground."""
    size = f'viewBox="0 0 {width} {height:g}" width="{width}" role="img" aria-label="{escape(label)}"'
    if not alone:
        return f"<svg {size}>{body}</svg>"
    style = "<style>text{font:11px system-ui,sans-serif;fill:#1a1a1a}</style>"
    ground = f'<rect width="{width}" height="{height:g}" fill="#fff"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} height="{height:g}">{style}{ground}{body}</svg>\n'


def _short(name: str) -> str:
    shown = plain_letters(name)
    return escape(shown if len(shown) <= MOST_LETTERS else f"{shown[: MOST_LETTERS - 1]}…")
