"""The page of a comparison: what may be concluded, the leaderboard with costs, all pairs, and what failed."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from attnkit.page.intervals import Row, intervals
from attnkit.page.report_style import Section, document, listed

MOST_PAIRS = 40


def comparison_page(title: str, record: Mapping[str, Any], sentences: Sequence[str]) -> str:
    """The whole page as HTML, test figures first where they were read; text from data is escaped."""
    shown = record["test"] or record
    beside = [record] if record["test"] else []
    sections = [
        Section("leaderboard", f"Leaderboard on the {shown['part']} rows", _leaderboard(shown)),
        Section("pairs", "Pairs that can be told apart", _pairs(shown)),
        *(Section(f"{one['part']}", f"The same on the {one['part']} rows", _leaderboard(one)) for one in beside),
        Section("failures", "What failed", _failures(record)),
        Section("said", "What was inferred and done", listed(sentences)),
    ]
    head = (
        f'<div class="box"><b>What these figures allow to be said.</b>{listed(shown["conclusions"])}</div>'
        f'<div class="box"><b>How they were made.</b> {escape(shown["protocol"])}.</div>'
    )
    what = "Mechanisms" if record["what"] == "mechanisms" else "Ablation"
    return document(f"{what} on {title}", head, sections)


def comparison_picture(board: Mapping[str, Any], *, alone: bool = False) -> str:
    """Every arm with its interval, the best on top; what stands out in full color, the reference as a line."""
    ranked = _ranked(board)
    if not ranked:
        return "" if not alone else intervals([Row("nothing was measured", 0, 0, 0)], board["measure"], alone=True)
    rows = [
        Row(one["name"], one["mean"], one["low"], one["high"], tuple(one["each"]), one["stands_out"]) for one in ranked
    ]
    mark = next((one["mean"] for one in ranked if one["name"] == board["reference"]), None)
    title = f"{board['measure'].replace('_', ' ')} on {board['rows']:,} {board['part']} rows"
    return intervals(rows, title, mark=mark, alone=alone)


def _ranked(board: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return sorted((one for one in board["arms"] if "mean" in one), key=lambda one: one["rank"])


def _leaderboard(board: Mapping[str, Any]) -> str:
    ranked = _ranked(board)
    if not ranked:
        return "<p>Nothing was measured.</p>"
    reference = board["reference"]
    names = ["", "", board["measure"].replace("_", " "), f"beside {reference}", "p, adjusted", ""]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    head += '<th class="n">parameters</th><th class="n">core-seconds</th><th class="n">steps</th>'
    rows = "".join(_line(one) for one in ranked)
    blue = "the best and what ties with it" if board["what"] == "mechanisms" else "the recipe and what differs from it"
    told = (
        f"<p>Blue: {blue}. Small dots are single seeds, the dashed line is "
        f"{escape(reference)}. Intervals are each row's own, verdicts are corrected for the number of comparisons. "
        "Costs are means over seeds; core-seconds are of training with its evaluations.</p>"
    )
    return f'{comparison_picture(board)}{told}<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>'


def _line(one: Mapping[str, Any]) -> str:
    beside = one.get("difference")
    cells = [
        f'<td class="n">{one["rank"]}</td><td>{escape(one["name"])}</td>',
        f'<td class="n">{one["mean"]:.4f} <small>[{one["low"]:.4f}, {one["high"]:.4f}]</small></td>',
    ]
    if beside:
        cells.append(
            f'<td class="n">{beside["value"]:+.4f} <small>[{beside["low"]:+.4f}, {beside["high"]:+.4f}]</small></td>'
            f'<td class="n">{beside["adjusted"]:.3f}</td><td>{escape(beside["verdict"])}</td>'
        )
    else:
        cells.append("<td></td><td></td><td></td>")
    cells += [_number(one["parameters"], ",d"), _number(one["core_seconds"], ",.1f"), _number(one["steps"], ",.0f")]
    return f"<tr>{''.join(cells)}</tr>"


def _number(value: float | None, form: str) -> str:
    return f'<td class="n">{"–" if value is None else format(value, form)}</td>'


def _pairs(board: Mapping[str, Any]) -> str:
    apart = sorted((one for one in board["pairs"] if one["verdict"] != "tie"), key=lambda one: one["adjusted"])
    if not board["pairs"]:
        return ""
    if not apart:
        return f"<p>None of {len(board['pairs'])} pairs.</p>"
    lines = "".join(
        f"<tr><td>{escape(one['a'])}</td><td>{escape(one['verdict'])} than</td><td>{escape(one['b'])}</td>"
        f'<td class="n">{one["value"]:+.4f} <small>[{one["low"]:+.4f}, {one["high"]:+.4f}]</small></td>'
        f'<td class="n">{one["adjusted"]:.3f}</td></tr>'
        for one in apart[:MOST_PAIRS]
    )
    head = '<tr><th></th><th></th><th></th><th class="n">difference</th><th class="n">p, adjusted</th></tr>'
    more = f"<p>and {len(apart) - MOST_PAIRS} more: see results.json</p>" if len(apart) > MOST_PAIRS else ""
    return (
        f"<p>{len(apart)} of {len(board['pairs'])} pairs.</p>"
        f'<div class="scroll"><table>{head}{lines}</table></div>{more}'
    )


def _failures(record: Mapping[str, Any]) -> str:
    lines = "".join(
        f'<tr><td>{escape(one["name"])}</td><td class="n">{failed["seed"]}</td><td>{escape(failed["reason"])}</td></tr>'
        for one in record["arms"]
        for failed in one["failures"]
    )
    head = '<tr><th></th><th class="n">seed</th><th>reason</th></tr>'
    return f'<div class="scroll"><table>{head}{lines}</table></div>' if lines else ""
