"""Confusions in a report: the matrix of few classes, the most frequent mistakes of many."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

MOST_CLASSES = 30
MOST_CONFUSIONS = 20


def confusion_title(confusion: Mapping[str, Any] | None) -> str:
    """What the section is called."""
    many = confusion and len(confusion["classes"]) > MOST_CLASSES
    return "Most frequent confusions" if many else "Confusion matrix"


def confusion_body(confusion: Mapping[str, Any] | None) -> str:
    """The matrix, or a list where there are many classes; nothing where rows have no single class."""
    if not confusion:
        return ""
    classes, counts = confusion["classes"], confusion["counts"]
    if len(classes) > MOST_CLASSES:
        pairs = sorted(
            ((count, t, g) for t, row in enumerate(counts) for g, count in enumerate(row) if t != g and count),
            reverse=True,
        )[:MOST_CONFUSIONS]
        return confusions_table([(classes[t], classes[g], count) for count, t, g in pairs])
    head = "".join(f"<th>{escape(name)}</th>" for name in classes)
    lines = "".join(
        f"<tr><th>{escape(name)}</th>" + "".join(_shade(count, sum(row)) for count in row) + "</tr>"
        for name, row in zip(classes, counts, strict=True)
    )
    return f'<div class="scroll"><table><tr><th>true \\ predicted</th>{head}</tr>{lines}</table></div>'


def confusions_table(confused: Sequence[tuple[str, str, int]]) -> str:
    """A line a confusion: the true label, the predicted one, and how many rows."""
    lines = "".join(
        f'<tr><td>{escape(truth)}</td><td>{escape(guess)}</td><td class="n">{count:,}</td></tr>'
        for truth, guess, count in confused
    )
    head = '<tr><th>true</th><th>predicted</th><th class="n">rows</th></tr>'
    return f'<div class="scroll"><table>{head}{lines}</table></div>' if confused else ""


def _shade(count: int, whole: int) -> str:
    share = count / whole if whole else 0.0
    color = "#fff" if share > 0.55 else "#1a1a1a"
    return f'<td class="cell" style="background:rgba(30,95,179,{share:.2f});color:{color}">{count}</td>'
