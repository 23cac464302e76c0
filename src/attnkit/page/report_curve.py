"""The page of a learning curve: what it says of more data, its picture, and its points."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from attnkit.page.intervals import svg
from attnkit.page.report_style import Section, document, listed

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 320, 56, 20, 16, 44
BLUE, RED = "#0072b2", "#d55e00"
DRAWN = 60


def curve_page(title: str, record: Mapping[str, Any], sentences: Sequence[str]) -> str:
    """The whole page as HTML; text from data is escaped."""
    head = (
        f'<div class="box"><b>Would more data help?</b> {escape(record["forecast"]["sentence"])}</div>'
        f'<div class="box"><b>How these figures were made.</b> {escape(record["protocol"])}.</div>'
    )
    sections = [
        Section("curve", "Learning curve", curve_picture(record) + _told(record)),
        Section("points", "Its points", _points(record)),
        Section("failures", "What failed", _failures(record)),
        Section("said", "What was inferred and done", listed(sentences)),
    ]
    return document(f"Learning curve on {title}", head, sections)


def curve_picture(record: Mapping[str, Any], *, alone: bool = False) -> str:
    """The measure over the training rows, with intervals and single seeds; the fit, dashed, up to twice the rows."""
    points, told = record["points"], record["forecast"]
    law = told["law"]
    most = points[-1]["train_rows"]
    ends = [_measure(record, told["low"]), _measure(record, told["high"])] if law else []
    values = [x for one in points for x in (one["low"], one["high"], *one["each"])] + ends
    low, high = min(values), max(values)
    margin = 0.06 * (high - low) or 0.5
    low, high, last = low - margin, high + margin, most * (2.1 if law else 1.05)

    def x(rows: float) -> float:
        return LEFT + rows / last * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_axes(low, high, last)]
    if law:
        steps = [
            points[0]["share"] / points[-1]["share"] * (1 - t) + 2 * t for t in (n / DRAWN for n in range(DRAWN + 1))
        ]
        line = " ".join(f"{x(s * most):.1f},{y(_measure(record, _law(law, s))):.1f}" for s in steps)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{RED}" stroke-dasharray="5 4"/>')
        parts.append(_bar(x(2 * most), y(ends[0]), y(ends[1]), RED))
        parts.append(f'<text x="{x(2 * most) - 6:.1f}" y="{TOP + 10}" text-anchor="end">twice the data, if so</text>')
    mean = " ".join(f"{x(one['train_rows']):.1f},{y(one['mean']):.1f}" for one in points)
    parts.append(f'<polyline points="{mean}" fill="none" stroke="{BLUE}" stroke-width="2"/>')
    for one in points:
        across = x(one["train_rows"])
        parts.append(_bar(across, y(one["low"]), y(one["high"]), BLUE))
        parts.append(f'<circle cx="{across:.1f}" cy="{y(one["mean"]):.1f}" r="4" fill="{BLUE}"/>')
        parts += [f'<circle cx="{across + 6:.1f}" cy="{y(each):.1f}" r="1.8" fill="#555"/>' for each in one["each"]]
    title = f"{record['measure'].replace('_', ' ')} on {record['rows']:,} {record['part']} rows, over training rows"
    parts.append(f'<text x="{(LEFT + WIDTH) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(title)}</text>')
    return svg("".join(parts), WIDTH, HEIGHT, title, alone)


def _axes(low: float, high: float, last: float) -> str:
    parts = []
    for tick in range(5):
        down = HEIGHT - BOTTOM - tick / 4 * (HEIGHT - TOP - BOTTOM)
        parts.append(f'<path d="M{LEFT} {down:.1f}H{WIDTH - RIGHT}" stroke="#e2e2e2"/>')
        value = low + tick / 4 * (high - low)
        parts.append(f'<text x="{LEFT - 6}" y="{down + 4:.1f}" text-anchor="end">{value:.3g}</text>')
        across = LEFT + tick / 4 * (WIDTH - LEFT - RIGHT)
        anchor = "end" if tick == 4 else "middle"
        parts.append(
            f'<text x="{across:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="{anchor}">{last * tick / 4:,.0f}</text>'
        )
    return "".join(parts)


def _bar(x: float, top: float, bottom: float, color: str) -> str:
    return f'<path d="M{x:.1f} {top:.1f}V{bottom:.1f}" stroke="{color}" stroke-width="2.5"/>'


def _law(law: Mapping[str, float], share: float) -> float:
    return float(law["floor"] + law["slope"] * share ** -law["exponent"])


def _measure(record: Mapping[str, Any], error: float) -> float:
    return 1 - error if record["higher_is_better"] else error


def _told(record: Mapping[str, Any]) -> str:
    law = record["forecast"]["law"]
    if not law:
        return "<p>Points are means over seeds with their 95&nbsp;% intervals, small dots single seeds.</p>"
    return (
        "<p>Points are means over seeds with their 95&nbsp;% intervals, small dots single seeds. Dashed: error = "
        f"{law['floor']:.4f} + {law['slope']:.4f} (n/N)<sup>−{law['exponent']:.2f}</sup>, fitted to the means; its bar "
        "is the range over resampled rows and seeds. It does not cover that the curve may bend otherwise.</p>"
    )


def _points(record: Mapping[str, Any]) -> str:
    lines = "".join(
        f'<tr><td class="n">{one["share"]:.0%}</td><td class="n">{one["train_rows"]:,}</td>'
        f'<td class="n">{one["mean"]:.4f} <small>[{one["low"]:.4f}, {one["high"]:.4f}]</small></td>'
        f"<td>{', '.join(f'{each:.4f}' for each in one['each'])}</td></tr>"
        for one in record["points"]
    )
    head = "".join(f'<th class="n">{name}</th>' for name in ("share", "training rows", escape(record["measure"])))
    return f'<div class="scroll"><table><tr>{head}<th>each seed</th></tr>{lines}</table></div>'


def _failures(record: Mapping[str, Any]) -> str:
    told = [f"{one['share']:.0%}, seed {one['seed']}: {one['reason']}" for one in record["failures"]]
    return listed(told)
