"""A search space: fields of the recipe, each with the values that may be tried."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from types import UnionType
from typing import Any, Union, get_args, get_origin

import numpy as np

from attnkit.attention.nearest import nearest
from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe, fields, find_field, toml_value
from attnkit.tune.library import optuna

Setting = dict[str, Any]

MOST_POINTS = 10_000
_GRID_POINTS = 3
_RANGE_KEYS = ("low", "high", "log", "step", "points")
# What a trial is measured on, and what decides which trials there are, is no choice of theirs.
_FIXED = {
    "data": "it changes the rows on which trials are compared",
    "evaluate": "it changes what is measured, not what is trained",
    "tune": "it says how the search goes",
    "train.seed": "a seed is no choice: give tune.tune_seeds to average over several",
    "train.minutes": "trials of unlike length are not compared; search train.epochs, or give tune.tune_minutes",
}


@dataclass(frozen=True)
class Values:
    """A list of values; the sampler sees `labels`, so that lists and tables may be tried too."""

    values: tuple[Any, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """A word for each value."""
        return tuple(label_of(value) for value in self.values)

    def distribution(self) -> Any:
        """What the sampler draws from."""
        return optuna().distributions.CategoricalDistribution(self.labels)

    def encode(self, value: Any) -> Any:
        """What the sampler calls `value`; None where it is none of the values."""
        label = label_of(value)
        return label if label in self.labels else None

    def decode(self, drawn: Any) -> Any:
        """The value that the sampler drew."""
        return self.values[self.labels.index(drawn)]

    def grid(self) -> list[Any]:
        """Everything a grid tries, as the sampler calls it."""
        return list(self.labels)

    def to_plain(self) -> Any:
        """As the recipe holds it."""
        return list(self.values)

    def middle(self) -> Any:
        """A value to try a space out with."""
        return self.values[0]


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where the field takes no others."""

    low: float
    high: float
    log: bool
    step: float | None
    points: int | None
    whole: bool

    def distribution(self) -> Any:
        """What the sampler draws from."""
        kinds = optuna().distributions
        if self.whole:
            return kinds.IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return kinds.FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def encode(self, value: Any) -> Any:
        """The value itself; None where it is outside, or between two steps."""
        inside = isinstance(value, int | float) and not isinstance(value, bool) and self.low <= value <= self.high
        if not inside or (
            self.step and abs((value - self.low) / self.step - round((value - self.low) / self.step)) > 1e-9
        ):
            return None
        return value

    def decode(self, drawn: Any) -> Any:
        """The number that the sampler drew."""
        return int(drawn) if self.whole else float(drawn)

    def grid(self) -> list[Any]:
        """`points` numbers, evenly spaced (in their logarithm with `log`), or every step where `step` is given."""
        if self.step and not self.points:
            count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
            found = [self.low + at * self.step for at in range(count)]
        else:
            spaced = np.geomspace if self.log else np.linspace
            found = [float(value) for value in spaced(self.low, self.high, self.points or _GRID_POINTS)]
        if self.whole:
            return list(dict.fromkeys(round(value) for value in found))
        # Ends that rounding moved outside would be refused.
        return list(dict.fromkeys(min(self.high, max(self.low, value)) for value in found))

    def to_plain(self) -> Any:
        """As the recipe holds it."""
        kept = {"low": self.low, "high": self.high, "log": self.log, "step": self.step, "points": self.points}
        return {name: value for name, value in kept.items() if value is not None and value is not False}

    def middle(self) -> Any:
        """A value to try a space out with."""
        return self.decode(self.low)


Axis = Values | Range


@dataclass(frozen=True)
class Space:
    """What is searched: an axis for each dotted field name."""

    axes: Mapping[str, Axis]

    def distributions(self) -> dict[str, Any]:
        """What the sampler draws from, by field."""
        return {name: axis.distribution() for name, axis in self.axes.items()}

    def decode(self, drawn: Mapping[str, Any]) -> Setting:
        """The recipe fields that a draw of the sampler stands for."""
        return {name: axis.decode(drawn[name]) for name, axis in self.axes.items()}

    def encode(self, setting: Mapping[str, Any]) -> dict[str, Any] | None:
        """What the sampler calls a setting; None where it lies outside the space."""
        drawn = {name: axis.encode(setting[name]) for name, axis in self.axes.items()}
        return None if None in drawn.values() else drawn

    def grid(self) -> list[dict[str, Any]]:
        """Every point of the grid, as the sampler calls it.

        Raises: UsageError where there are too many.
        """
        each = [axis.grid() for axis in self.axes.values()]
        count = math.prod(len(values) for values in each)
        if count > MOST_POINTS:
            raise UsageError(
                f"the grid has {count:,} points, more than the {MOST_POINTS:,} that can be listed; give fewer values, "
                'or another sampler, such as tune.sampler = "random"'
            )
        return [dict(zip(self.axes, point, strict=True)) for point in product(*each)]

    def to_plain(self) -> dict[str, Any]:
        """As the recipe holds it."""
        return {name: axis.to_plain() for name, axis in self.axes.items()}


def label_of(value: Any) -> str:
    """The word by which a value is called in tables and by the sampler."""
    return value if isinstance(value, str) else toml_value(value)


def parse_space(plain: Mapping[str, Any], base: Recipe, *, allow_code: bool = False) -> Space:
    """The space in a recipe's `tune.space`; each value is held to its field's own limits.

    Raises: UsageError on an unknown field (naming the nearest), one that cannot be searched, or a value or range that
    its field refuses.
    """
    if not plain:
        raise UsageError("the search space is empty; give tune.space fields and their values")
    axes: dict[str, Axis] = {}
    for given, values in plain.items():
        try:
            section, field = find_field(given)
        except UsageError as error:
            raise UsageError(f"tune.space: {error}") from None
        name = f"{section}.{field}"
        why = _FIXED.get(name) or _FIXED.get(section)
        if why:
            raise UsageError(f"tune.space: {name} cannot be searched: {why}")
        if name in axes:
            raise UsageError(f"tune.space names {name} twice; keep one of the two")
        axis = _axis(name, values)
        for value in axis.values if isinstance(axis, Values) else (axis.decode(axis.low), axis.decode(axis.high)):
            try:
                base.with_values({name: value}, allow_code=allow_code)
            except UsageError as error:
                raise UsageError(f"tune.space: {str(error).removeprefix('the options: ')}") from None
        axes[name] = axis
    return Space(axes)


def _axis(name: str, given: Any) -> Axis:
    if isinstance(given, list | tuple):
        labels = [label_of(value) for value in given]
        if len(set(labels)) < len(labels) or not labels:
            what = "no value" if not labels else f"{next(x for x in labels if labels.count(x) > 1)!r} twice"
            raise UsageError(f"tune.space: {name} lists {what}; list each value once")
        return Values(tuple(given))
    if not isinstance(given, Mapping):
        raise UsageError(
            f"tune.space: {name} takes a list of values or a range such as {{low = 1, high = 4}}, and got {given!r}"
        )
    for key in given:
        if key not in _RANGE_KEYS:
            raise UsageError(f"tune.space: the range of {name} has no {key!r}{nearest(key, _RANGE_KEYS)}")
    return _range(name, given)


def _range(name: str, given: Mapping[str, Any]) -> Range:
    kinds = _number_kinds(fields()[name].annotation)
    if not kinds:
        raise UsageError(f"tune.space: {name} takes no numbers, so it has no range; list its values")
    numbers = {key: given.get(key) for key in ("low", "high", "step", "points")}
    for key, number in numbers.items():
        if number is None and key in ("step", "points"):
            continue
        if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
            raise UsageError(f"tune.space: the range of {name} needs a number as {key}, and has {number!r}")
    low, high, step, points = numbers.values()
    log, whole = given.get("log", False), float not in kinds
    assert low is not None and high is not None
    if not isinstance(log, bool):
        raise UsageError(f"tune.space: the range of {name} has log = {log!r}; give true or false")
    if not low < high:
        raise UsageError(f"tune.space: the range of {name} goes from {low} to {high}; low must be below high")
    if log and low <= 0:
        raise UsageError(f"tune.space: the range of {name} begins at {low} and has no logarithm; give a low above 0")
    if step is not None and (step <= 0 or step > high - low):
        raise UsageError(f"tune.space: the step of {name} is {step}; give one above 0 and at most {high - low}")
    if log and step is not None:
        raise UsageError(f"tune.space: the range of {name} has log and a step; keep one of the two")
    if points is not None and (points != int(points) or not 2 <= points <= MOST_POINTS):
        raise UsageError(f"tune.space: the points of {name} are {points}; give a whole number from 2 on")
    if whole and any(number != int(number) for number in (low, high, step or 1)):
        raise UsageError(f"tune.space: {name} takes whole numbers, and its range has {dict(given)}")
    return Range(
        low if whole else float(low),
        high if whole else float(high),
        log,
        step if whole or step is None else float(step),
        None if points is None else int(points),
        whole,
    )


def _number_kinds(annotation: Any) -> set[type]:
    """int, float, both or neither: the kinds of number that a field takes."""
    if annotation in (int, float):
        return {annotation}
    if get_origin(annotation) in (Union, UnionType):
        return set().union(*(_number_kinds(part) for part in get_args(annotation)))
    inner = getattr(annotation, "__metadata__", None) and get_args(annotation)[0]
    return _number_kinds(inner) if inner else set()
