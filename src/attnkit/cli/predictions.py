"""Predictions in the terminal: the label, how sure, and the text shaded by attention."""

from typing import Any

from rich.text import Text

from attnkit.cli.terminal import console, say

_HEAVIEST = 5
# From nothing to the heaviest piece of the text: readable black on white to a full orange.
_STEPS = 8


def show_prediction(text: Any, prediction: Any, probabilities: bool = False, shading: Any = None) -> None:
    """One line a text: label, probability, text; below it where the model looked."""
    label = prediction.label
    words = (
        ", ".join(label) or "(none)"
        if isinstance(label, tuple)
        else f"{label:.4g}"
        if isinstance(label, float)
        else label
    )
    sure = "" if prediction.probability is None else f"\t{prediction.probability:.4f}"
    whole = " ".join((" | ".join(text) if isinstance(text, tuple) else text).split())
    # Tabs part the columns of what a pipe may read; rich would make blanks of them.
    print(f"{words}{sure}\t{whole}" if shading is None else f"{words}{sure}")
    if probabilities:
        for name, value in sorted(prediction.probabilities.items(), key=lambda entry: -entry[1]):
            say(f"  {value:.4f}  {name}")
    if shading is not None:
        show_shading(shading)


def show_shading(shading: Any) -> None:
    """The text with the pieces that weigh more on a stronger ground, and the heaviest named."""
    heaviest = shading.heaviest(_HEAVIEST)
    most = heaviest[0][1] if heaviest else 0.0
    line = Text("  ")
    for piece, weight in shading.pieces:
        line.append(piece, style=shade(weight / most) if weight is not None and most > 0 else "")
    console().print(line, soft_wrap=True)
    named = ", ".join(f"{piece} {100 * weight:.0f} %" for piece, weight in heaviest)
    even = f" (an even share is {100 / len(shading.tokens):.1f} %)" if named else ""
    say(f"  looked at: {named}{even}" if named else "  there is nothing to look at in an empty text")
    if shading.cut:
        say(f"  {shading.cut:,} tokens beyond the length limit were not read")


def shade(share: float) -> str:
    """The style of a piece that weighs `share` of the heaviest one."""
    level = round(_STEPS * share)
    if not level:
        return ""
    fade = 255 - round(level / _STEPS * 175)
    return f"black on rgb(255,{(255 + fade) // 2 - 20 * level // _STEPS},{fade})"
