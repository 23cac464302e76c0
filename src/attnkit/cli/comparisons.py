"""Comparisons, curves and mistakes in the terminal."""

from collections.abc import Mapping
from typing import Any

from rich.text import Text

from attnkit.cli.predictions import shade
from attnkit.cli.terminal import console, say, show_table

_RIGHT = ("parameters", "core-seconds", "train rows", "rows")


def show_comparison(found: Any) -> None:
    """The leaderboard, on the test rows where they were read, and what may be concluded."""
    board = found.record["test"] or found.record
    ranked = sorted((one for one in board["arms"] if "mean" in one), key=lambda one: one["rank"])
    columns = ("", board["measure"].replace("_", " "), f"beside {board['reference']}", "", "parameters", "core-seconds")
    say("", f"Measured on {board['rows']:,} {board['part']} rows", style="bold")
    show_table(columns, [_line(one) for one in ranked], right=_RIGHT)
    say("", *board["conclusions"])
    say(f"{board['protocol']}.", style="dim")
    say("", f"It is in {found.path}; its page is {found.path / 'report.html'}")


def _line(one: Mapping[str, Any]) -> tuple[str, ...]:
    beside = one.get("difference")
    told = f"{beside['value']:+.4f} [{beside['low']:+.4f}, {beside['high']:+.4f}]" if beside else ""
    seconds = "" if one["core_seconds"] is None else f"{one['core_seconds']:,.1f}"
    figure = f"{one['mean']:.4f} [{one['low']:.4f}, {one['high']:.4f}]"
    return one["name"], figure, told, beside["verdict"] if beside else "", f"{one['parameters']:,}", seconds


def show_curve(found: Any) -> None:
    """The points, and what they say of more data."""
    record = found.record
    rows = [
        (
            f"{one['share']:.0%}",
            f"{one['train_rows']:,}",
            f"{one['mean']:.4f} [{one['low']:.4f}, {one['high']:.4f}]",
            ", ".join(f"{each:.4f}" for each in one["each"]),
        )
        for one in record["points"]
    ]
    say("")
    show_table(("share", "train rows", record["measure"].replace("_", " "), "each seed"), rows, right=_RIGHT)
    say("", record["forecast"]["sentence"])
    say(*(f"{one['share']:.0%} with seed {one['seed']} failed: {one['reason']}" for one in record["failures"]))
    say(f"{record['protocol']}.", style="dim")
    say("", f"It is in {found.path}; its page is {found.path / 'report.html'}")


def show_mistakes(found: Any) -> None:
    """Each mistake with its text shaded, and the most frequent confusions."""
    from attnkit.page.excerpt import excerpt

    of = f"{found.wrong:,} of {found.rows:,} rows are predicted wrong" if found.wrong is not None else "Scores"
    say(f"{of}; {found.protocol}", style="bold")
    for one in found.worst:
        sure = f" ({one.probability:.4f})" if one.probability is not None else f", off by {one.wrong_by:.4g}"
        say("", f"{one.place}: predicted {one.predicted}{sure}, true {one.truth}")
        most = max((weight for _, weight in one.pieces if weight is not None), default=0.0)
        line = Text("  ")
        for number, stretch in enumerate(excerpt(one.pieces)):
            line.append(" … " if number else "")
            for piece, weight in stretch:
                line.append(" ".join(piece.split("\n")), style=shade((weight or 0.0) / most) if most > 0 else "")
        console().print(line, soft_wrap=True)
    if found.confused:
        say("", "What is mistaken for what most often:")
        show_table(("true", "predicted", "rows"), [(t, g, f"{n:,}") for t, g, n in found.confused], right=_RIGHT)
