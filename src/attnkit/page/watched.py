"""What the attention did while a model was trained: a section of its report."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from attnkit.page.curves import curve

# Told apart by people who see colors otherwise too; source: Okabe and Ito (2008), Color universal design.
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
TITLES = {
    "entropy_share": "mean entropy of a row, as a share of the largest there can be",
    "sink": "mean weight on the first token",
    "largest_logit": "largest score of any pair",
}
MOST_ALARMS = 20


def watched_section(history: Sequence[Mapping[str, Any]]) -> str:
    """Curves of entropy, sink and largest score a layer (the mean of its heads), and the alarms; else nothing."""
    seen = [line for line in history if line.get("attention")]
    if not seen:
        return ""
    parts = ['<div class="charts">', *(_curve(seen, name, title) for name, title in TITLES.items()), "</div>"]
    return f"{''.join(parts)}{_alarms(seen)}"


def _curve(history: Sequence[Mapping[str, Any]], name: str, title: str) -> str:
    layers = [one["layer"] for one in history[-1]["attention"] if one[name] is not None][: len(COLORS)]
    points = [
        {"step": line["step"], **{one["layer"]: _mean(one[name]) for one in line["attention"] if one[name] is not None}}
        for line in history
    ]
    if not layers or not all(layer in point for layer in layers for point in points):
        return ""
    lines = [(layer, color, layer) for layer, color in zip(layers, COLORS, strict=False)]
    return f"<figure><b>{escape(title.capitalize())}</b>{curve(points, lines)}</figure>"


def _alarms(history: Sequence[Mapping[str, Any]]) -> str:
    rows = [(line["step"], what, where) for line in history for what, where in line.get("alarms", [])]
    if not rows:
        return "<p>No head gave reason for alarm: no entropy collapsed, no score blew up, no head sank.</p>"
    last = {(what, where.partition(":")[0]): (step, what, where) for step, what, where in rows}
    shown = list(last.values())[-MOST_ALARMS:]
    lines = "".join(
        f'<tr><td class="n">{step:,}</td><td>{escape(what)}</td><td>{escape(where)}</td></tr>'
        for step, what, where in shown
    )
    more = f"<p>and {len(last) - len(shown)} more</p>" if len(last) > len(shown) else ""
    head = '<tr><th class="n">last at step</th><th>alarm</th><th>head</th></tr>'
    return f'<div class="scroll"><table>{head}{lines}</table></div>{more}'


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
