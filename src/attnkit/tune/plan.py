"""The plan of a study: everything that a worker, on whichever machine, must know to try a setting."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe, recipe_from_plain
from attnkit.tune.space import Space, parse_space

FORMAT = 1
# Tried where neither a number nor a time is given.
FEW_TRIALS = 20


@dataclass(frozen=True)
class Plan:
    """The recipe with its space as plain tables ("auto" where each trial settles it), the data, and what is compared.

    `measure` is the task's own; `rows` is the number of rows a trial is measured on.
    """

    name: str
    recipe_tables: dict[str, Any]
    data_path: str
    sha256: str
    measure: str
    higher_is_better: bool
    protocol: str
    rows: int
    sizes: dict[str, int]
    allow_code: bool = False
    format: int = FORMAT

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that every trial begins from."""
        return recipe_from_plain(self.recipe_tables, "the study", allow_code=self.allow_code)

    @cached_property
    def space(self) -> Space:
        """What is searched."""
        return parse_space(self.recipe.tune.space, self.recipe, allow_code=self.allow_code)

    def better(self, value: float, other: float | None) -> bool:
        """Tell whether `value` beats `other`; anything beats None."""
        return other is None or (value > other if self.higher_is_better else value < other)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; whether code may be imported is not in it: each machine's user says so."""
        return {name: value for name, value in asdict(self).items() if name != "allow_code"}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any], source: str, *, allow_code: bool = False) -> "Plan":
        """Read what `to_dict` gave; `source` says where it comes from in an error.

        Raises: UsageError where it is of another format, or no plan.
        """
        if plain.get("format") != FORMAT:
            raise UsageError(
                f"{source} has study format {plain.get('format')!r}, this version of attnkit reads {FORMAT}; update it"
            )
        try:
            return cls(**plain, allow_code=allow_code)
        except TypeError:
            raise UsageError(f"{source} is not the plan of a study; begin the study again") from None
