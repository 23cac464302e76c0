"""What a learner learned, in the terminal."""

from collections.abc import Mapping
from typing import Any

from attnkit.cli.terminal import say, show_table


def show_learned(found: Any) -> None:
    """Where the learner stands, the figures before learning from each row, and those of the guard."""
    seen, guard = found.prequential, found.guard
    if seen["n"]:
        name = seen["measure"].replace("_", " ")
        say("", f"{seen['n']:,} rows of feedback, each predicted before it was learned from", style="bold")
        rows = [
            (told, _spread(seen[key])) for key, told in (("learned", "the learner"), ("frozen", "the run as it was"))
        ]
        show_table(("", name), [*rows, ("difference, paired", _spread(seen["difference"], "+"))])
    elif found.rows == 0:
        say("no new feedback fills an update")
    name = guard["measure"].replace("_", " ")
    say(f"{name} on the guard rows: {guard['learned']:.4f}; of the run as it was {guard['frozen']:.4f}")
    undone = f", {found.undone} of this call's updates undone" if found.undone else ""
    say(f"{found.folder} stands at point {found.point} of {found.points}{undone}")
    if found.saved:
        say(f"The run of this point is in {found.saved}")


def _spread(one: Mapping[str, float], sign: str = "") -> str:
    return f"{one['value']:{sign}.4f} [{one['low']:{sign}.4f}, {one['high']:{sign}.4f}]"
