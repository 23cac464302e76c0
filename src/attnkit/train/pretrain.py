"""pretrain(...): a language model on texts, as a start for `train`."""

import os
from collections.abc import Mapping
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.recipe import Recipe, load_recipe
from attnkit.train.events import Listener
from attnkit.train.training import train


def pretrain(
    data: str | os.PathLike[str] | None = None,
    *,
    objective: str | None = None,
    recipe: Recipe | str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Listener | None = None,
    allow_code: bool = False,
    began: float | None = None,
    **overrides: Any,
) -> Run:
    """Learn to predict the words of the texts in `data`, and give the finished run, which `train(start_from=)` takes.

    `data` is whatever `train` takes, or a .txt file of one text a line; labels are not read. `objective` is "masked" or
    "causal" (None: as the recipe says, else masked). The run is held to perplexity on held-out texts; test texts stay
    unread unless `read_test` asks for them, and none are held out as such unless `test` does.

    Raises: as `train`, and UsageError where something is said of labels, or the network would see the words it is to
        predict.
    """
    values = dict(overrides)
    names = {name.rpartition(".")[2] for name in values}
    given = _given(recipe)
    if idle := next((name for name in ("label", "kind") if name in names), None):
        raise UsageError(f"data.{idle} is about labels, which pretraining does not read; leave --{idle} out")
    if objective is not None:
        if "language" in names:
            raise UsageError("the objective is the recipe field model.language, which is given too; keep one of them")
        values["model.language"] = objective
    elif "language" not in names and given.get("language", "none") == "none":
        values["model.language"] = "masked"
    for field, value in (("evaluate.read_test", False), ("data.test", 0.0)):
        name = field.rpartition(".")[2]
        if name not in names and name not in given:
            values[field] = value
    how: dict[str, Any] = {"recipe": recipe, "out": out, "resume": resume, "allow_code": allow_code}
    return train(data, progress=progress, began=began, **how, **values)


def _given(recipe: Recipe | str | os.PathLike[str] | None) -> Mapping[str, Any]:
    """The fields that a recipe gives itself, by name."""
    if recipe is None:
        return {}
    held = recipe if isinstance(recipe, Recipe) else load_recipe(os.fspath(recipe), allow_code=None)
    plain = held.model_dump(mode="json", exclude_unset=True)
    return {name: value for section in plain.values() for name, value in section.items()}
