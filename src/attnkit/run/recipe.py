"""Recipe: the complete settings of a run, to and from TOML with a comment for each field."""

import difflib
import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from attnkit.errors import UsageError
from attnkit.files import write_text
from attnkit.model.changes import changes_from_plain
from attnkit.model.operator import check_operator
from attnkit.model.settings import ModelSettings, Section
from attnkit.run.sections import DataSettings, EvaluateSettings, TokenSettings, TrainSettings
from attnkit.run.sections_learning import (
    AugmentSettings,
    DistillSettings,
    OptimizerSettings,
    RegularizeSettings,
    StartSettings,
)
from attnkit.run.sections_tasks import TasksSettings
from attnkit.run.sections_tune import TuneSettings

# Words that have less in common are not mistaken for one another.
_NEAR = 0.6
# More names than these are not listed in a sentence.
_FEW = 20


class Recipe(Section):
    """Everything a run is made from; "auto" stands where the data decides, and a finished run stores none."""

    data: DataSettings = Field(default_factory=DataSettings, description="what is read, and how it is split")
    tokens: TokenSettings = Field(default_factory=TokenSettings, description="how a text becomes numbers")
    model: ModelSettings = Field(default_factory=ModelSettings, description="what network is built")
    train: TrainSettings = Field(default_factory=TrainSettings, description="how the weights are found")
    optimizer: OptimizerSettings = Field(
        default_factory=OptimizerSettings, description="what moves the weights, and how fast where and when"
    )
    regularize: RegularizeSettings = Field(
        default_factory=RegularizeSettings, description="what keeps the rows from being learned by heart"
    )
    augment: AugmentSettings = Field(default_factory=AugmentSettings, description="noise on the training texts")
    start: StartSettings = Field(default_factory=StartSettings, description="what the weights begin as")
    distill: DistillSettings = Field(default_factory=DistillSettings, description="a teacher to imitate")
    tasks: TasksSettings = Field(
        default_factory=TasksSettings, description="further tasks that the same encoder learns"
    )
    evaluate: EvaluateSettings = Field(default_factory=EvaluateSettings, description="what is measured at the end")
    tune: TuneSettings = Field(default_factory=TuneSettings, description="which settings a study tries, and how")

    def to_plain(self) -> dict[str, dict[str, Any]]:
        """The recipe as tables of plain values, as TOML holds them."""
        return self.model_dump(mode="json")

    def with_values(self, values: Mapping[str, Any], *, allow_code: bool = False) -> "Recipe":
        """A copy with each field of `values` set; names are "train.epochs" or, as no two sections share one, "epochs".

        Raises: UsageError on an unknown name (naming the nearest) or a value its field refuses.
        """
        # What nobody set stays so, for a start to settle.
        tables = self.model_dump(mode="json", exclude_unset=True)
        for name, value in values.items():
            section, field = find_field(name)
            tables.setdefault(section, {})[field] = value
        return recipe_from_plain(tables, "the options", allow_code=allow_code)


def fields() -> dict[str, Any]:
    """Every field of a recipe by its dotted name, in the order of the file."""
    return {
        f"{section}.{name}": info
        for section, holder in Recipe.model_fields.items()
        for name, info in holder.annotation.model_fields.items()  # type: ignore[union-attr]
    }


def find_field(name: str) -> tuple[str, str]:
    """Section and field that "train.epochs" or "epochs" names.

    Raises: UsageError on an unknown name (naming the nearest).
    """
    known = fields()
    matches = [dotted for dotted in known if dotted == name or dotted.split(".")[1] == name]
    if not matches:
        raise UsageError(f"a recipe has no field {name!r}{_nearest(name, known)}")
    section, field = matches[0].split(".")
    return section, field


def recipe_from_plain(tables: Any, source: str, *, allow_code: bool | None = False) -> Recipe:
    """A recipe from plain tables; `source` says where they come from in an error.

    With `allow_code` None its operators are not looked up, so that reading a record imports nothing.

    Raises: UsageError on an unknown key (naming the nearest), a wrong value, or an operator that does not exist.
    """
    try:
        recipe = Recipe.model_validate(tables)
    except ValidationError as error:
        raise UsageError(_sentence(error, source)) from None
    try:
        changes_from_plain(recipe.model.changes)
    except ValueError as error:
        raise UsageError(f"{source}: model.changes: {error}") from None
    if allow_code is None:
        return recipe
    for name in ("attention", "pooling"):
        try:
            check_operator(getattr(recipe.model, name), allow_code)
        except ValueError as error:
            raise UsageError(f"{source}: model.{name}: {error}") from None
    return recipe


def load_recipe(path: str | Path, *, allow_code: bool | None = False) -> Recipe:
    """The recipe in a TOML file; fields it leaves out keep their defaults. `allow_code` is that of `recipe_from_plain`.

    Raises: UsageError where the file is missing, is not TOML, or holds an unknown key or a wrong value.
    """
    try:
        text = Path(path).read_text("utf-8")
    except FileNotFoundError:
        raise UsageError(f"there is no recipe at {path}; write one with `attn init DATA`") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the recipe {path} cannot be read as UTF-8 text ({error})") from None
    try:
        tables = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as error:
        raise UsageError(f"the recipe {path} is not TOML: {error}") from None
    return recipe_from_plain(tables, str(path), allow_code=allow_code)


def dump_recipe(recipe: Recipe, reasons: Mapping[str, str] | None = None) -> str:
    """The recipe as TOML, each field under a comment that says what it is and, from `reasons`, why it has its value."""
    lines = []
    for section, holder in Recipe.model_fields.items():
        lines += [f"# {holder.description}", f"[{section}]"]
        for name, value in recipe.to_plain()[section].items():
            info = holder.annotation.model_fields[name]  # type: ignore[union-attr]
            lines.append(f"# {info.description}")
            if reasons and f"{section}.{name}" in reasons:
                lines.append("# chosen: " + " ".join(reasons[f"{section}.{name}"].split()))
            lines.append(f"{name} = {toml_value(value)}")
        lines.append("")
    return "\n".join(lines)


def save_recipe(path: str | Path, recipe: Recipe, reasons: Mapping[str, str] | None = None) -> None:
    """Write the recipe at `path` in one step."""
    write_text(path, dump_recipe(recipe, reasons))


def parse_value(text: str) -> Any:
    """What a word of the command line means as a TOML value; a bare word is itself."""
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except (tomllib.TOMLDecodeError, ValueError, RecursionError):
        return text


def toml_value(value: Any) -> str:
    """One TOML value on one line; tables are written inline.

    Raises: TypeError on what TOML has no form for.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case str():
            return '"' + "".join(_escaped(letter) for letter in value) + '"'
        case list() | tuple():
            return "[" + ", ".join(toml_value(item) for item in value) + "]"
        case dict():
            return "{" + ", ".join(f"{toml_value(str(key))} = {toml_value(item)}" for key, item in value.items()) + "}"
    raise TypeError(f"TOML has no form for {type(value).__name__}")


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    return (
        letter
        if letter.isprintable()
        else (f"\\u{ord(letter):04x}" if ord(letter) < 65536 else f"\\U{ord(letter):08x}")
    )


def _nearest(name: str, known: Any) -> str:
    short = {dotted.split(".")[-1]: dotted for dotted in known}
    near = difflib.get_close_matches(name.split(".")[-1], short, n=1, cutoff=_NEAR)
    if near:
        return f"; the nearest is {short[near[0]]!r}"
    if len(short) > _FEW:
        return "; `attn init DATA` writes all there are"
    return f"; known are {', '.join(sorted(short))}"


def _sentence(error: ValidationError, source: str) -> str:
    first = error.errors(include_url=False)[0]
    path = [str(piece) for piece in first["loc"]]
    dotted = ".".join(path[:2])
    if first["type"] == "extra_forbidden":
        known = list(fields()) if len(path) > 1 else list(Recipe.model_fields)
        here = [name for name in known if name.split(".")[0] == path[0]] or known
        near = difflib.get_close_matches(path[-1], [name.split(".")[-1] for name in here], n=1, cutoff=_NEAR)
        elsewhere = any(name.split(".")[-1] == path[-1] for name in known)
        other = _nearest(path[-1], known) if elsewhere or not near else f"; the nearest is {near[0]!r}"
        return f"{source}: there is no {'field' if len(path) > 1 else 'section'} {dotted!r} in a recipe{other}"
    about = fields()[dotted].description if dotted in fields() else "a table of fields"
    given = repr(first.get("input"))
    given = given if len(given) <= 60 else given[:57] + "..."
    return f"{source}: {dotted or 'a recipe'} cannot be {given}: {first['msg'][:1].lower()}{first['msg'][1:]} ({about})"
