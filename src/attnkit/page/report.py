"""The report of a run: one self-contained page with its figures, protocol, curves and confusions."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from attnkit.page.curves import curve
from attnkit.page.watched import watched_section

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
table{border-collapse:collapse;margin:.5rem 0 1.5rem}td,th{padding:.25rem .7rem;text-align:left}
td,th{border-bottom:1px solid #ddd}.cell{text-align:right;min-width:2.2rem}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.big{font-size:2.2rem;font-weight:600;margin:.2rem 0}
.box{background:#f4f4f1;border-left:4px solid #888;padding:.6rem 1rem;margin:1rem 0}
svg{background:#fafafa;border:1px solid #ddd}.scroll{overflow-x:auto}small,.muted{color:#555}
summary{cursor:pointer}td small{display:block;white-space:nowrap}
"""
_MOST_CLASSES = 30
_MOST_CONFUSIONS = 20


def report_page(title: str, metrics: Mapping[str, Any], facts: Mapping[str, str], sentences: Sequence[str]) -> str:
    """The whole page as HTML; every piece of text that comes from data is escaped."""
    parts = [
        f"<h1>{escape(title)}</h1>",
        _headline(metrics),
        f'<div class="box"><b>How these figures were made.</b> {escape(str(metrics["protocol"]))}.</div>',
        _measures(metrics),
        _curves(metrics["history"]),
        watched_section(metrics["history"]),
        _confusion(metrics["confusion"]),
        _facts(facts),
        "<h2>What was inferred and decided</h2><ul>" + "".join(f"<li>{escape(s)}</li>" for s in sentences) + "</ul>",
    ]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style>{''.join(parts)}</html>\n"
    )


def _headline(metrics: Mapping[str, Any]) -> str:
    where = "test" if metrics["test"] else "validation"
    measure = metrics[where].get(metrics["select"])
    if measure is None:
        return ""
    return (
        f'<p class="big">{escape(measure["name"])} {measure["value"]:.4f}</p><p>on {measure["n"]:,} {where} rows; '
        f"95&nbsp;% interval {measure['low']:.4f} to {measure['high']:.4f}</p>"
    )


def _measures(metrics: Mapping[str, Any]) -> str:
    where = "test" if metrics["test"] else "validation"
    columns = [("this model", metrics[where])] + [(one["name"], one["measures"]) for one in metrics["baselines"]]
    head = "".join(f'<th class="n">{escape(name)}</th>' for name, _ in columns)
    # A class's own figures are named "measure:class"; there may be hundreds, so they are folded away.
    lines: dict[bool, list[str]] = {False: [], True: []}
    for name, measure in metrics[where].items():
        cells = "".join(f'<td class="n">{_figure(held.get(name))}</td>' for _, held in columns)
        lines[":" in name].append(f'<tr><td>{escape(name)}</td>{cells}<td class="n">{measure["n"]:,}</td></tr>')
    start = f'<div class="scroll"><table><tr><th>{where}</th>{head}<th class="n">n</th></tr>'
    overall, by_class = (f"{start}{''.join(rows)}</table></div>" for rows in (lines[False], lines[True]))
    folded = f"<details><summary>Each class against the rest</summary>{by_class}</details>" if lines[True] else ""
    return f"<h2>Measures</h2>{overall}{folded}"


def _figure(measure: Mapping[str, Any] | None) -> str:
    if measure is None:
        return "–"
    return f"{measure['value']:.4f} <small>[{measure['low']:.4f}, {measure['high']:.4f}]</small>"


def _curves(history: Sequence[Mapping[str, Any]]) -> str:
    if not history:
        return ""
    lines = [("training loss", "#b3541e", "train_loss"), ("validation loss", "#1e5fb3", "loss")]
    drawn = curve(history, lines)
    measured = curve(history, [(f"validation {history[0]['measure']}", "#2f7d32", "value")])
    return f"<h2>Training</h2>{drawn}{measured}"


def _confusion(confusion: Mapping[str, Any] | None) -> str:
    if not confusion:
        return ""
    classes, counts = confusion["classes"], confusion["counts"]
    if len(classes) > _MOST_CLASSES:
        pairs = sorted(
            ((count, t, g) for t, row in enumerate(counts) for g, count in enumerate(row) if t != g and count),
            reverse=True,
        )[:_MOST_CONFUSIONS]
        lines = "".join(
            f'<tr><td>{escape(classes[t])}</td><td>{escape(classes[g])}</td><td class="n">{count}</td></tr>'
            for count, t, g in pairs
        )
        head = '<tr><th>true</th><th>predicted</th><th class="n">rows</th></tr>'
        return f"<h2>Most frequent confusions</h2><table>{head}{lines}</table>"
    head = "".join(f"<th>{escape(name)}</th>" for name in classes)
    lines = "".join(
        f"<tr><th>{escape(name)}</th>" + "".join(_shade(count, sum(row)) for count in row) + "</tr>"
        for name, row in zip(classes, counts, strict=True)
    )
    table = f"<table><tr><th>true \\ predicted</th>{head}</tr>{lines}</table>"
    return f'<h2>Confusion matrix</h2><div class="scroll">{table}</div>'


def _shade(count: int, whole: int) -> str:
    share = count / whole if whole else 0.0
    color = "#fff" if share > 0.55 else "#1a1a1a"
    return f'<td class="cell" style="background:rgba(30,95,179,{share:.2f});color:{color}">{count}</td>'


def _facts(facts: Mapping[str, str]) -> str:
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<h2>The run</h2><table>{lines}</table>"
