"""Importance, and a run beside the one it was made from, in the terminal."""

import statistics
from collections.abc import Mapping
from typing import Any

from attnkit.cli.terminal import say, show_table

_MEANS = {
    "ablation": "how far the predictions move without it (divergence)",
    "gradient": "how steeply the loss of a text hangs on a gate at it",
    "gates": "log odds that its learned gate stays open",
}


def show_importance(found: Mapping[str, Any]) -> None:
    """Every layer and head with what it is worth, and the inner units of each layer in short."""
    say(f"Measured on {found['rows']:,} validation rows", style="bold")
    say("", "Layers: how far the predictions move when one is passed by (divergence)")
    show_table(("layer", "score"), [(n, f"{score:.4f}") for n, score in enumerate(found["layers"])], right=("score",))
    say("", f"Heads: {_MEANS[found['importance']]}")
    heads = [(layer, head, score) for layer, each in found["heads"].items() for head, score in enumerate(each)]
    lines = [(layer, head, f"{score:+.4f}") for layer, head, score in sorted(heads, key=lambda one: one[2])]
    show_table(("layer", "head", "score"), lines, right=("head", "score"))
    say("", "Inner units: gradient times activation, a text; quarters of a layer")
    lines = []
    for layer, each in found["units"].items():
        quarters = statistics.quantiles(each, n=4) if len(each) > 1 else [each[0]] * 3
        lines.append((layer, len(each), *(f"{score:.2e}" for score in (min(each), *quarters, max(each)))))
    columns = ("units", "least", "25 %", "half", "75 %", "most")
    show_table(("layer", *columns), lines, right=columns)


def show_shrunk(made: Any) -> None:
    """Both runs side by side, and the paired difference."""
    found = made.beside
    before, after = found.before, found.after
    name = found.measure.replace("_", " ")
    value, low, high = found.difference
    lines = [
        ("parameters", f"{before.parameters:,}", f"{after.parameters:,}", _share(after.parameters, before.parameters)),
        ("on disk", _size(before.disk_bytes), _size(after.disk_bytes), _share(after.disk_bytes, before.disk_bytes)),
        (name, _figure(before), _figure(after), f"{value:+.4f} [{low:+.4f}, {high:+.4f}]"),
        (
            "core-ms a text",
            f"{before.core_ms_a_text:.3f}",
            f"{after.core_ms_a_text:.3f}",
            _share(after.core_ms_a_text, before.core_ms_a_text),
        ),
    ]
    say("", f"Measured on {found.rows:,} {found.part} rows", style="bold")
    show_table(("", "before", "after", "change"), lines)
    say("brackets hold 95 % bootstrap intervals; those of the change are paired by row.", style="dim")
    say("", f"The child is in {made.run.path}; its page is {made.run.path / 'report.html'}")


def _figure(side: Any) -> str:
    return f"{side.value:.4f} [{side.low:.4f}, {side.high:.4f}]"


def _share(after: float, before: float) -> str:
    return f"{after / before - 1:+.1%}" if before else "–"


def _size(count: int) -> str:
    return f"{count / 1e6:.2f} MB"
