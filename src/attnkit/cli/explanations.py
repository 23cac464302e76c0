"""Explanations in the terminal: the texts shaded by one method, and the verdict on each."""

from typing import Any

from rich.text import Text

from attnkit.cli.predictions import shade
from attnkit.cli.terminal import console, say, show_table

_TEXTS = 10
_HEAVIEST = 5


def show_explanations(found: Any) -> None:
    """The verdicts, the method they trust most first, and the first texts as that method sees them."""
    ranked = sorted(found.verdicts.items(), key=lambda pair: -pair[1].deletion.value)
    show_table(("method", "verdict"), [(name, verdict.sentence) for name, verdict in ranked])
    for name, reason in found.refused.items():
        say(f"{name}: {reason}")
    named = next((name for name, verdict in ranked if name != "random" and "faithful" in verdict.word), None)
    if named is None:
        say("", "No method is shown, since none is better than random here.")
        return
    say("", f"By {named}:")
    for attribution in found.attributions[named][:_TEXTS]:
        _show(attribution)


def _show(attribution: Any) -> None:
    most = max((abs(score) for score in attribution.scores), default=0.0)
    target = attribution.target
    say(f"{target.label} ({100 * target.share:.1f} %)" if target.label else f"{target.value:.4g}")
    line = Text("  ")
    for token, score in zip(attribution.tokens, attribution.scores, strict=True):
        line.append(token, style=shade(abs(score) / most if most else 0.0))
        line.append(" ")
    console().print(line, soft_wrap=True)
    heaviest = sorted(zip(attribution.tokens, attribution.scores, strict=True), key=lambda pair: -abs(pair[1]))
    say("  " + ", ".join(f"{token} {score:+.3g}" for token, score in heaviest[:_HEAVIEST]))
