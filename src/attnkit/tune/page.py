"""The page of a study: leaderboard, what the best figure is worth, what mattered, what failed and why."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from attnkit.page.report_style import Section, document
from attnkit.tune import pictures
from attnkit.tune.account import TrialLine
from attnkit.tune.leaderboard import honesty
from attnkit.tune.plan import Plan
from attnkit.tune.space import label_of

_MOST_SHOWN = 30


def study_page(
    title: str, record: Mapping[str, Any], lines: Sequence[TrialLine], plan: Plan, facts: Mapping[str, str]
) -> str:
    """The whole page as HTML, with its pictures in it; every piece of text that comes from data is escaped."""
    sections = [
        Section("leaderboard", "Leaderboard", _leaderboard(record, plan)),
        Section("course", "Course of the search", _course(lines, plan)),
        Section("importance", "What mattered", _importance(record)),
        Section("slices", "Each field by itself", _slices(lines, plan)),
        Section("together", "All fields together", _together(lines, plan)),
        Section("pruned", "Stopped early", _pruned(record)),
        Section("without", "Without a figure", _others(record)),
        Section("study", "The study", _facts(facts)),
    ]
    return document(title, _head(record), sections)


def _head(record: Mapping[str, Any]) -> str:
    headline = ""
    if record["test"]:
        held = record["test"]
        headline = (
            f'<p class="big">{escape(record["measure"])} {held["value"]:.4f}</p><p>of the best setting on '
            f"{held['n']:,} test rows; 95&nbsp;% interval {held['low']:.4f} to {held['high']:.4f}</p>"
        )
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in honesty(record))
    tally = ", ".join(f"{count} {state}" for state, count in record["counts"].items())
    return (
        f'{headline}<div class="box"><b>What the best figure is worth.</b><ul>{said}</ul></div>'
        f'<div class="box"><b>How trials were measured:</b> {escape(record["protocol"])}. Trials: {escape(tally)}; '
        f"{record['core_seconds']:,.0f} core-seconds in all.</div>"
    )


def _leaderboard(record: Mapping[str, Any], plan: Plan) -> str:
    entries = record["complete"]
    if not entries:
        return "<p>No trial was measured to its end.</p>"
    names = list(plan.space.axes)
    columns = ["place", "trial", record["measure"].replace("_", " "), "beside the best"]
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    head += "".join(f"<th>{escape(name.partition('.')[2])}</th>" for name in names)
    head += '<th class="n">core-s</th><th class="n">parameters</th>'
    rows = [_row(entry, names) for entry in entries]
    table = f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows[:_MOST_SHOWN])}</table></div>'
    if len(rows) > _MOST_SHOWN:
        rest = f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows[_MOST_SHOWN:])}</table></div>'
        table += f"<details><summary>{len(rows) - _MOST_SHOWN} more</summary>{rest}</details>"
    note = "Brackets hold 95&nbsp;% bootstrap intervals of rows; beside the best, of paired differences."
    return f"{table}<p class='muted'>{note}</p>"


def _row(entry: Mapping[str, Any], names: Sequence[str]) -> str:
    held, behind = entry["low"] is not None, entry["behind"]
    value = f"{entry['value']:.4f}" + (f" <small>[{entry['low']:.4f}, {entry['high']:.4f}]</small>" if held else "")
    beside = "the best" if entry["rank"] == 1 else "–"
    if behind and entry["rank"] > 1:
        beside = f"{behind['value']:+.4f} <small>[{behind['low']:+.4f}, {behind['high']:+.4f}]</small>"
        beside += "<small>a tie</small>" if entry["tied"] else ""
    number = f"{entry['number']}" + ("<small>without tuning</small>" if entry["default"] else "")
    cells = "".join(f"<td>{escape(show_value(entry['setting'][name]))}</td>" for name in names)
    sizes = f'<td class="n">{entry["core_seconds"]:,.1f}</td><td class="n">{entry["parameters"] or 0:,}</td>'
    return f"<tr><td>{entry['rank']}</td><td>{number}</td><td>{value}</td><td>{beside}</td>{cells}{sizes}</tr>"


def show_value(value: Any) -> str:
    """A value of a field, short enough for a table."""
    return f"{value:.4g}" if isinstance(value, float) else label_of(value)


def _picture(figure: Any, said: str) -> str:
    return f'<figure><img alt="{escape(said)}" style="max-width:100%" src="{pictures.as_address(figure)}"></figure>'


def _course(lines: Sequence[TrialLine], plan: Plan) -> str:
    if not any(line.state in ("complete", "pruned") for line in lines):
        return ""
    return _picture(pictures.history(lines, plan), "figure of each trial, and the best so far")


def _importance(record: Mapping[str, Any]) -> str:
    held = record["importance"]
    if not held:
        return ""
    shares = held["shares"]
    note = (
        f"From {held['trials']} complete trials, by functional analysis of variance over what was searched; "
        "with few trials a rough guide, and silent on fields outside the space."
    )
    return f"{_picture(pictures.importance_bars(shares), 'importance of each field')}<p class='muted'>{note}</p>"


def _slices(lines: Sequence[TrialLine], plan: Plan) -> str:
    if not any(line.state in ("complete", "pruned") for line in lines):
        return ""
    return _picture(pictures.slices(lines, plan), "figures over the values of each field")


def _together(lines: Sequence[TrialLine], plan: Plan) -> str:
    if sum(line.state == "complete" for line in lines) < 2 or len(plan.space.axes) < 2:
        return ""
    drawn = pictures.parallel(lines, plan)
    note = "Darker is better; the thick orange line is the best setting."
    return f"{_picture(drawn, 'every complete setting as a line')}<p class='muted'>{note}</p>"


def _pruned(record: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><td>{entry["number"]}</td><td class="n">{_last(entry)}</td><td class="n">{len(entry["course"])}</td>'
        f"<td>{escape(_setting(entry['setting']))}</td></tr>"
        for entry in record["pruned"]
    )
    head = '<tr><th>trial</th><th class="n">last figure</th><th class="n">points</th><th>setting</th></tr>'
    table = f'<div class="scroll"><table>{head}{rows}</table></div>'
    return f"<details><summary>{len(record['pruned'])} trials</summary>{table}</details>" if rows else ""


def _last(entry: Mapping[str, Any]) -> str:
    return "–" if entry["value"] is None else f"{entry['value']:.4f}"


def _others(record: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><td>{entry['number']}</td><td>{escape(entry['state'])}</td><td>{escape(entry['reason'])}</td>"
        f"<td>{escape(_setting(entry['setting']))}</td></tr>"
        for entry in record["others"]
    )
    head = "<tr><th>trial</th><th>how it ended</th><th>reason</th><th>setting</th></tr>"
    return f'<div class="scroll"><table>{head}{rows}</table></div>' if rows else ""


def _setting(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.partition('.')[2]} {show_value(value)}" for name, value in setting.items())


def _facts(facts: Mapping[str, str]) -> str:
    lines = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{lines}</table>"
