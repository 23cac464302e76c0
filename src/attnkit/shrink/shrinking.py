"""shrink(run, ...): choose what goes, train on a little without it, and put the child beside its parent."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.errors import UsageError
from attnkit.model.changes import Change, apply_changes
from attnkit.run.directory import Run
from attnkit.run.record import write_record
from attnkit.shrink.beside import Beside, put_beside
from attnkit.shrink.child import child_recipe, free_path, refuse_taken, trained_path
from attnkit.shrink.holding import Holding
from attnkit.shrink.parent import Parent
from attnkit.shrink.passes import passes
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
    epochs: int | None = None,
    learning_rate: float | None = None,
    distill: bool = False,
    holding: Holding | None = None,
    out: str | os.PathLike[str] | None = None,
    progress: Listener | None = None,
    allow_code: bool = False,
) -> Shrunk:
    """Make a child of `run` without its least important heads, inner units of each layer, or layers.

    Each is a share such as "50%" or a number. They are chosen on validation rows (gates on training rows), at most
    `rows` of them; the child is trained `epochs` (1 where left open) on the parent's rows, with `distill` to imitate it
    as well. `holding` says how what is left is held. Numbers that are stored otherwise no longer learn: what is trained
    is then a run of its own, OUT-trained, and the child is that run, stored.

    Raises: UsageError where nothing is to go, there is not as much of it, nothing is trained of which something is
    said, a name is taken, or the run cannot be shrunk.
    """
    wish, holding = Wish(str(heads), str(units), str(layers)), holding or Holding()
    if not wish and not holding:
        raise UsageError("nothing is to go; name what does with --heads, --units or --layers, such as --heads 50%")
    epochs = passes(wish, holding, epochs, learning_rate, distill)
    apart = bool(holding.stored and epochs)
    if out is not None:
        refuse_taken(Path(out), *([trained_path(Path(out))] if apart else []))
    parent = Parent.open(run, allow_code)
    for name, kind in {**wish.kinds, **holding.kinds}.items():
        parent.refuse_behind(kind.stage, f"--{name}")
    say = Say(progress)
    place = Path(out) if out is not None else free_path(parent.run)

    def tell(sentence: str) -> None:
        say("said", sentence=sentence)

    plan = make_plan(parent, wish, Weighed(parent, importance, rows), tell)
    network = parent.network()
    apply_changes(network, plan.changes)
    plan.changes += holding.changes(parent, network, tell)
    how: dict[str, Any] = {"learning_rate": learning_rate, "allow_code": allow_code}
    begun, changes = parent, (*plan.changes, *holding.stored)
    if apart:
        recipe = child_recipe(parent, plan.changes, epochs=epochs, distill=distill, **how)
        recipe = recipe.with_values({"evaluate.read_test": False}, allow_code=allow_code)
        trained = train(recipe=recipe, out=trained_path(place), progress=progress, allow_code=allow_code)
        begun = Parent.open(trained, allow_code)
        changes = holding.stored
    if holding.stored:
        epochs, distill = 0, False
    recipe = child_recipe(begun, changes, epochs=epochs, distill=distill, **how)
    recipe = recipe.with_values({"evaluate.read_test": parent.run.recipe.evaluate.read_test}, allow_code=allow_code)
    child = train(recipe=recipe, out=place, progress=progress, allow_code=allow_code)
    plan.changes = (*plan.changes, *holding.stored)
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
    parent.refuse_behind(Change.stage, "what goes")
    weighed, network = Weighed(parent, importance, rows), parent.network()
    return {
        "run": str(parent.run.path),
        "importance": importance,
        "rows": len(weighed.validation),
        "layers": weighed.layers(network),
        "heads": {str(layer): list(each) for layer, each in weighed.heads(network).items()},
        "units": {str(layer): list(each) for layer, each in weighed.units(network).items()},
    }
