"""What is wished of a search: what is to become less, and what may be lost."""

import re
from typing import Literal

from attnkit.errors import UsageError
from attnkit.task.base import Selection

Target = Literal["size", "latency"]

# Measures that are shares of a whole, of which a point is a hundredth.
_SHARES = ("accuracy", "precision", "recall", "f1", "average_precision")


def loss_of(said: str, select: Selection) -> float:
    """ "0.5pt" as 0.005 of a measure that is a share; a plain number is in the measure's own units.

    Raises: UsageError where it is neither, is below 0, or points are asked of a measure that has none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)\s*(pt)?", said.strip())
    if match is None:
        raise UsageError(f"--max-loss takes points such as 0.5pt or a number, and got {said!r}")
    if match[2] and not select.measure.startswith(_SHARES):
        raise UsageError(f"{select.measure} has no points; give --max-loss as a number in its own units, such as 0.02")
    return float(match[1]) / (100 if match[2] else 1)
