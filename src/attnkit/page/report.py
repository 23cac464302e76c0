"""The report of a run: one self-contained page with its figures, protocol, curves, calibration and mistakes."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from attnkit.page.curves import curve
from attnkit.page.report_calibration import calibration_body
from attnkit.page.report_confusion import confusion_body, confusion_title
from attnkit.page.report_mistakes import Mistake, mistakes_body
from attnkit.page.report_style import Section, document, listed
from attnkit.page.watched import watched_section

MOST_POINTS = 300


def report_page(
    title: str,
    metrics: Mapping[str, Any],
    facts: Mapping[str, str],
    sentences: Sequence[str],
    *,
    rates: Sequence[tuple[int, float]] = (),
    mistakes: Sequence[Mistake] = (),
    judged: tuple[int, int | None] = (0, None),
) -> str:
    """The whole page as HTML; every piece of text that comes from data is escaped.

    `rates` are steps with their learning rate; `mistakes` are the worst of `judged`: (rows, how many of them wrong).
    """
    where = _where(metrics)
    sections = [
        Section("measures", "Measures", _measures(metrics)),
        Section("training", "Training", _training(metrics["history"], rates)),
        Section("attention", "Attention while training", watched_section(metrics["history"])),
        Section(
            "calibration",
            "Calibration",
            calibration_body(metrics.get("calibration"), metrics[where].get("calibration_error")),
        ),
        Section("confusion", confusion_title(metrics["confusion"]), confusion_body(metrics["confusion"])),
        Section("mistakes", "Worst mistakes", mistakes_body(mistakes, *judged)),
        Section("run", "The run", _facts(facts)),
        Section("decided", "What was inferred and decided", listed(sentences)),
    ]
    box = f'<div class="box"><b>How these figures were made.</b> {escape(str(metrics["protocol"]))}.</div>'
    return document(title, _headline(metrics) + box, sections)


def _where(metrics: Mapping[str, Any]) -> str:
    return "test" if metrics["test"] else "validation"


def _headline(metrics: Mapping[str, Any]) -> str:
    where = _where(metrics)
    measure = metrics[where].get(metrics["select"])
    if measure is None:
        return ""
    beside = ", ".join(
        f"{escape(one['name'].replace('_', ' '))} {one['measures'][metrics['select']]['value']:.4f}"
        for one in metrics["baselines"]
        if metrics["select"] in one["measures"]
    )
    said = f"Baselines on the same rows: {beside}." if beside else "No baseline was measured beside it (--baselines)."
    return (
        f'<p class="big">{escape(measure["name"])} {measure["value"]:.4f}</p><p>on {measure["n"]:,} {where} rows; '
        f'95&nbsp;% interval {measure["low"]:.4f} to {measure["high"]:.4f}<br><span class="muted">{said}</span></p>'
    )


def _measures(metrics: Mapping[str, Any]) -> str:
    where = _where(metrics)
    columns = [("this model", metrics[where])] + [(one["name"], one["measures"]) for one in metrics["baselines"]]
    head = "".join(f'<th class="n">{escape(name.replace("_", " "))}</th>' for name, _ in columns)
    # A class's own figures are named "measure:class"; there may be hundreds, so they are folded away.
    lines: dict[bool, list[str]] = {False: [], True: []}
    for name, measure in metrics[where].items():
        cells = "".join(f'<td class="n">{_figure(held.get(name))}</td>' for _, held in columns)
        lines[":" in name].append(f'<tr><td>{escape(name)}</td>{cells}<td class="n">{measure["n"]:,}</td></tr>')
    start = f'<div class="scroll"><table><tr><th>{where}</th>{head}<th class="n">n</th></tr>'
    overall, by_class = (f"{start}{''.join(rows)}</table></div>" for rows in (lines[False], lines[True]))
    folded = f"<details><summary>Each class against the rest</summary>{by_class}</details>" if lines[True] else ""
    return f"{overall}{folded}"


def _figure(measure: Mapping[str, Any] | None) -> str:
    if measure is None:
        return "–"
    return f"{measure['value']:.4f} <small>[{measure['low']:.4f}, {measure['high']:.4f}]</small>"


def _training(history: Sequence[Mapping[str, Any]], rates: Sequence[tuple[int, float]]) -> str:
    if not history or not history[-1]["step"]:
        return ""
    lines = [("training loss", "#b3541e", "train_loss"), ("validation loss", "#1e5fb3", "loss")]
    # Before the first step nothing was trained on.
    measured = [(f"validation {history[0]['measure']}", "#2f7d32", "value")]
    drawn = curve([line for line in history if line["step"]], lines) + curve(history, measured)
    return f'<div class="charts">{drawn}{_rates(rates)}</div>'


def _rates(rates: Sequence[tuple[int, float]]) -> str:
    if not rates:
        return ""
    every = -(-len(rates) // MOST_POINTS)
    kept = [*rates[::every], rates[-1]]
    return curve([{"step": step, "rate": rate} for step, rate in kept], [("learning rate", "#7a3fa0", "rate")])


def _facts(facts: Mapping[str, str]) -> str:
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{lines}</table>" if facts else ""
