"""Arms: the recipes that are held against one another, each one change away from the same recipe."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from attnkit.errors import UsageError
from attnkit.model.operator import operator
from attnkit.run.recipe import Recipe, find_field, parse_value

# Rows and seeds are what all arms share.
SHARED = ("data", "evaluate")
SHARED_FIELDS = ("train.seed",)
AS_IT_IS = "the recipe"


@dataclass(frozen=True)
class Arm:
    """One recipe under the name it is shown by; `changed` are its fields that differ from the recipe of all."""

    name: str
    recipe: Recipe
    changed: Mapping[str, Any]

    @property
    def slug(self) -> str:
        """The name as part of a file name."""
        return re.sub(r"[^A-Za-z0-9.]+", "-", self.name).strip("-")[:40] or "arm"


def mechanism_arms(recipe: Recipe, mechanisms: Sequence[str], *, allow_code: bool = False) -> list[Arm]:
    """One arm a mechanism: in the layers of a transformer, and in the pooling of any other encoder.

    Raises: UsageError on a name that the catalogue does not hold (naming the nearest), twice the same, or only one.
    """
    names = [name.strip() for name in mechanisms if name.strip()]
    _refuse_few(names, "mechanisms")
    field = place_of(recipe)
    arms = [Arm(name, recipe.with_values({field: name}, allow_code=allow_code), {field: name}) for name in names]
    held = [operator(name, allow_code) for name in names]
    twice = [name for place, name in enumerate(names) if held[place] in held[:place]]
    if twice:
        first = names[held.index(held[names.index(twice[0])])]
        raise UsageError(f"{twice[0]!r} is another name of {first!r}; name each mechanism once")
    return arms


def check_arms(recipe: Recipe, mechanisms: Sequence[str], changes: Sequence[str], *, allow_code: bool = False) -> None:
    """Refuse wrong names before the recipe is settled from the data.

    Raises: UsageError on an unknown mechanism or field, one named twice, or too few of them.
    """
    if mechanisms:
        mechanism_arms(recipe, mechanisms, allow_code=allow_code)
    else:
        _refuse_few([AS_IT_IS, *changes], "changes")
        for change in changes:
            _changed(change)


def place_of(recipe: Recipe) -> str:
    """The field that a mechanism goes into."""
    return "model.attention" if recipe.model.encoder in ("transformer", "bert") else "model.pooling"


def ablation_arms(recipe: Recipe, changes: Sequence[str], *, allow_code: bool = False) -> list[Arm]:
    """The recipe as it is, and one arm for each change: "field=value", or several of them joined by "+".

    Raises: UsageError on an unknown field or value, a change that changes nothing, or one of rows or seeds.
    """
    arms = [Arm(AS_IT_IS, recipe, {})]
    _refuse_few([AS_IT_IS, *changes], "changes")
    plain = recipe.to_plain()
    for change in changes:
        values = _changed(change)
        changed = recipe.with_values(values, allow_code=allow_code)
        now = changed.to_plain()
        idle = [name for name in values if _at(now, name) == _at(plain, name)]
        if idle:
            raise UsageError(
                f"{idle[0]} is {_at(plain, idle[0])!r} in the recipe already, so {change!r} changes nothing"
            )
        arms.append(Arm(change.strip(), changed, values))
    return arms


def _changed(change: str) -> dict[str, Any]:
    """The fields that a change sets, by dotted name."""
    values: dict[str, Any] = {}
    for part in re.split(r"\+(?=[A-Za-z_.]+=)", change):
        name, equals, value = part.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--ablate takes field=value, such as model.word_dropout=0, and got {part!r}")
        section, entry = find_field(name.strip())
        if section in SHARED or f"{section}.{entry}" in SHARED_FIELDS:
            raise UsageError(f"{section}.{entry} decides the rows or seeds, which all arms share; leave it out")
        values[f"{section}.{entry}"] = parse_value(value.strip())
    return values


def words_apart(words: Sequence[str]) -> list[str]:
    """Words of the command line at their commas, except commas within brackets, braces or quotes."""
    parts: list[str] = []
    for word in words:
        depth, quoted, last = 0, "", 0
        for place, letter in enumerate(word):
            if quoted:
                quoted = "" if letter == quoted else quoted
            elif letter in "\"'":
                quoted = letter
            elif letter in "[{":
                depth += 1
            elif letter in "]}":
                depth -= 1
            elif letter == "," and not depth:
                parts.append(word[last:place])
                last = place + 1
        parts.append(word[last:])
    return [part.strip() for part in parts if part.strip()]


def _refuse_few(names: Sequence[str], what: str) -> None:
    if len(names) < 2:
        raise UsageError(f"there is nothing to compare: name at least {2 if what == 'mechanisms' else 1} {what}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"{twice[0]!r} is named twice; name each of the {what} once")


def _at(plain: Mapping[str, Mapping[str, Any]], name: str) -> Any:
    section, entry = name.split(".")
    return plain[section][entry]
