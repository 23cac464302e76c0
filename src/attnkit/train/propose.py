"""A recipe for data that nothing was trained on yet: every field settled, with its reason."""

import os
from dataclasses import dataclass
from pathlib import Path

from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe, dump_recipe, recipe_from_plain, save_recipe
from attnkit.train.assemble import labeled_only, split_source
from attnkit.train.events import Event, Say
from attnkit.train.joint import all_training_rows, for_several, read_further
from attnkit.train.named_files import refuse_missing
from attnkit.train.prepare import read_source
from attnkit.train.settle import settle

# How the sentence about each inferred field begins.
_BEGINS = {"data.text": "The text", "data.label": "The label is", "data.kind": "Each row has"}


@dataclass(frozen=True)
class Proposal:
    """A complete recipe, why each field has its value, and what was said on the way."""

    recipe: Recipe
    reasons: dict[str, str]
    said: tuple[str, ...]

    @property
    def text(self) -> str:
        """The recipe as TOML, with a comment for each field."""
        return dump_recipe(self.recipe, self.reasons)


def propose(data: str | os.PathLike[str], **overrides: object) -> Proposal:
    """The recipe that `attnkit.train(data, **overrides)` would settle on.

    Raises: UsageError where the data cannot be read or understood, or an override is wrong.
    """
    said: list[str] = []

    def listen(event: Event) -> None:
        if event.kind == "said":
            said.append(event.values["sentence"])

    say = Say(listen)
    wanted = recipe_from_plain({}, "the defaults").with_values({**overrides, "data.path": os.fspath(data)})
    refuse_missing(wanted)
    source = read_source(wanted, say)
    inferred = tuple(said)
    splits = labeled_only(split_source(source, wanted), say, labels=source.schema.label is not None)
    further = read_further(wanted, source, say)
    choices, _ = settle(for_several(wanted, further), all_training_rows(splits.train, further))
    found = {"data.text": source.schema.text, "data.label": source.schema.label or "", "data.kind": source.schema.kind}
    recipe = choices.recipe.with_values(found)
    reasons = {name: reason for name, begins in _BEGINS.items() if (reason := _one_of(inferred, begins))}
    return Proposal(recipe, {**reasons, **choices.reasons}, tuple(said))


def _one_of(sentences: tuple[str, ...], begins: str) -> str | None:
    return next((sentence for sentence in sentences if sentence.startswith(begins)), None)


def write_proposal(proposal: Proposal, out: str | os.PathLike[str], force: bool = False) -> None:
    """Write the recipe to `out`.

    Raises: UsageError where something stands there and `force` is not given, or its folder is missing.
    """
    path = Path(out)
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise UsageError(f"{path} is not a place for a file; name a file in a folder that is there, with --out")
    if path.exists() and not force:
        raise UsageError(f"{path} already exists; choose another name with --out, or add --force")
    save_recipe(path, proposal.recipe, proposal.reasons)
