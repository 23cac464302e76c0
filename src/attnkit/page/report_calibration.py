"""Calibration in a report: how often each confidence came true, as a reliability diagram."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 440, 320, 40, 10, 14, 62
BLUE, RED = "#0072b2", "#d55e00"


def calibration_body(calibration: Mapping[str, Any] | None, measure: Mapping[str, Any] | None) -> str:
    """The diagram, its error with the interval of `measure` where it was measured, and a table; else nothing.

    `calibration` holds what a row of it is, the expected calibration error, and for each bin its limits, its number
    of rows, the mean confidence and the share that came true (None where the bin is empty).
    """
    if not calibration or not any(one["n"] for one in calibration["bins"]):
        return ""
    bins = calibration["bins"]
    interval = f" (95&nbsp;% interval {measure['low']:.3f} to {measure['high']:.3f})" if measure else ""
    told = (
        f"<p>Expected calibration error {calibration['error']:.3f}{interval}, over {sum(b['n'] for b in bins):,} "
        f"{escape(calibration['rows'])} in {len(bins)} bins. A bar is the share that came true, a dot the mean "
        "confidence: bars above the diagonal tell of too little confidence, bars below it of too much. The number "
        "under a bar is its n; a bar of few rows says little.</p>"
    )
    return told + _diagram(bins) + _table(bins)


def _diagram(bins: Sequence[Mapping[str, Any]]) -> str:
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = TOP + (1 - share) * down
        parts.append(f'<path d="M{LEFT} {y:g}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:g}" text-anchor="end">{share:g}</text>')
        x = LEFT + share * across
        parts.append(f'<text x="{x:g}" y="{HEIGHT - 24}" text-anchor="middle">{share:g}</text>')
    for one in bins:
        x, wide = LEFT + one["low"] * across, (one["high"] - one["low"]) * across
        middle = x + wide / 2
        parts.append(f'<text x="{middle:.1f}" y="{HEIGHT - 44}" text-anchor="middle">{_short(one["n"])}</text>')
        if not one["n"]:
            continue
        tall = one["right"] * down
        opacity = 0.75 if one["n"] >= 10 else 0.3
        parts.append(
            f'<rect x="{x + 1:.1f}" y="{TOP + down - tall:.1f}" width="{wide - 2:.1f}" height="{tall:.1f}" '
            f'fill="{BLUE}" opacity="{opacity}"/>'
        )
        dot = LEFT + one["confidence"] * across, TOP + (1 - one["confidence"]) * down
        parts.append(f'<circle cx="{dot[0]:.1f}" cy="{dot[1]:.1f}" r="3.5" fill="{RED}"/>')
    parts.append(
        f'<path d="M{LEFT} {TOP + down}L{WIDTH - RIGHT} {TOP}" stroke="#444" stroke-dasharray="4 3" fill="none"/>'
    )
    parts.append(f'<text x="{LEFT + across / 2}" y="{HEIGHT - 7}" text-anchor="middle">confidence</text>')
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" aria-label="reliability diagram"'
    return f"<svg {size}>{''.join(parts)}</svg>"


def _table(bins: Sequence[Mapping[str, Any]]) -> str:
    rows = "".join(
        f'<tr><td class="n">{one["low"]:.2f} to {one["high"]:.2f}</td><td class="n">{one["n"]:,}</td>'
        f'<td class="n">{one["confidence"]:.3f}</td><td class="n">{one["right"]:.3f}</td></tr>'
        for one in bins
        if one["n"]
    )
    head = "".join(f'<th class="n">{name}</th>' for name in ("confidence", "n", "mean confidence", "came true"))
    table = f'<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>'
    return f"<details><summary>The same as a table</summary>{table}</details>"


def _short(count: int) -> str:
    return f"{count}" if count < 10_000 else f"{count / 1000:.0f}k"
