"""A student: a network of another recipe that learns from a run, on its rows."""

import os
from pathlib import Path

from attnkit.run.directory import Run
from attnkit.run.recipe import load_recipe
from attnkit.run.record import write_record
from attnkit.shrink.beside import put_beside
from attnkit.shrink.child import free_path, refuse_taken
from attnkit.shrink.parent import Parent
from attnkit.shrink.plan import Plan
from attnkit.shrink.shrinking import RECORD, Shrunk
from attnkit.train.events import Listener
from attnkit.train.training import train


def teach_student(
    run: str | os.PathLike[str] | Run,
    recipe: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    progress: Listener | None = None,
    allow_code: bool = False,
) -> Shrunk:
    """Train the network of `recipe` on the rows of `run`, with `run` as its teacher, and put the two side by side.

    The split is that of `run`; what the recipe says under [distill] holds, its teachers apart.

    Raises: UsageError where the recipe cannot be read, or the run cannot teach.
    Source: Hinton, Vinyals and Dean 2015.
    """
    parent = Parent.open(run, allow_code)
    ours, schema = parent.run.recipe, parent.predictor.schema
    values = {f"data.{name}": getattr(ours.data, name) for name in type(ours.data).model_fields}
    values |= {"data.path": parent.run.data["path"], "data.text": schema.text, "data.label": schema.label}
    values |= {"data.kind": schema.kind, "distill.teacher": [str(parent.run.path.absolute())]}
    values |= {"evaluate.read_test": ours.evaluate.read_test}
    place = Path(out) if out is not None else free_path(parent.run)
    refuse_taken(place)
    wanted = load_recipe(Path(recipe), allow_code=allow_code).with_values(values, allow_code=allow_code)
    child = train(recipe=wanted, out=place, progress=progress, allow_code=allow_code)
    found = Shrunk(child, Plan(), put_beside(parent.run, child, allow_code=allow_code))
    write_record(child.path / RECORD, found.to_dict())
    return found
