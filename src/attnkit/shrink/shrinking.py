"""shrink(run, ...): choose what goes, train on a little without it, and put the child beside its parent."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.record import write_record
from attnkit.shrink.beside import Beside, put_beside
from attnkit.shrink.child import child_recipe, free_path
from attnkit.shrink.parent import Parent
from attnkit.shrink.plan import Plan, Wish, make_plan
from attnkit.shrink.weigh import Weighed
from attnkit.train.events import Listener, Say
from attnkit.train.training import train

RECORD = "shrunk.json"
ROWS = 1000


@dataclass(frozen=True)
class Shrunk:
    """The child, the plan that it was made by, and both runs side by side."""

    run: Run
    plan: Plan
    beside: Beside

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        changes = [change.to_plain() for change in self.plan.changes]
        return {"run": str(self.run.path), "changes": changes, "found": self.plan.found, **self.beside.to_dict()}


def shrink(
    run: str | os.PathLike[str] | Run,
    *,
    heads: str = "",
    units: str = "",
    layers: str = "",
    importance: str = "gradient",
    rows: int = ROWS,
    epochs: int = 1,
    learning_rate: float | None = None,
    distill: bool = False,
    out: str | os.PathLike[str] | None = None,
    progress: Listener | None = None,
    allow_code: bool = False,
) -> Shrunk:
    """Make a child of `run` without its least important heads, inner units of each layer, or layers.

    Each is a share such as "50%" or a number. They are chosen on validation rows (gates on training rows), at most
    `rows` of them; the child is trained `epochs` on the parent's rows, with `distill` to imitate it as well.

    Raises: UsageError where nothing is to go, there is not as much of it, or the run cannot be shrunk.
    """
    wish = Wish(str(heads), str(units), str(layers))
    if not wish:
        raise UsageError("nothing is to go; name what does with --heads, --units or --layers, such as --heads 50%")
    place = Path(out) if out is not None else None
    if place is not None and place.exists():
        raise UsageError(f"{place} already exists; choose another name with --out, or delete it")
    parent = Parent.open(run, allow_code)
    say = Say(progress)
    plan = make_plan(parent, wish, Weighed(parent, importance, rows), lambda sentence: say("said", sentence=sentence))
    recipe = child_recipe(
        parent, plan.changes, epochs=epochs, learning_rate=learning_rate, distill=distill, allow_code=allow_code
    )
    child = train(recipe=recipe, out=place or free_path(parent.run), progress=progress, allow_code=allow_code)
    found = Shrunk(child, plan, put_beside(parent.run, child, allow_code=allow_code))
    write_record(child.path / RECORD, found.to_dict())
    return found


def weigh(
    run: str | os.PathLike[str] | Run, *, importance: str = "gradient", rows: int = ROWS, allow_code: bool = False
) -> dict[str, Any]:
    """What each layer, head and inner unit of `run` is worth, by layer, with nothing changed.

    Raises: UsageError where the run cannot be shrunk.
    """
    parent = Parent.open(run, allow_code)
    weighed, network = Weighed(parent, importance, rows), parent.network()
    return {
        "run": str(parent.run.path),
        "importance": importance,
        "rows": len(weighed.validation),
        "layers": weighed.layers(network),
        "heads": {str(layer): list(each) for layer, each in weighed.heads(network).items()},
        "units": {str(layer): list(each) for layer, each in weighed.units(network).items()},
    }
