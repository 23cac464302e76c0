"""Parts to and from plain data: {"type": "Additive", "hidden": 64}, as TOML and JSON hold them."""

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from attnkit.attention.combine import Mixture, Sum, Then
from attnkit.attention.factored import FACTORED
from attnkit.attention.nearest import nearest
from attnkit.attention.normalizer import NORMALIZERS
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Part
from attnkit.attention.pattern import PATTERNS
from attnkit.attention.position import POSITIONS
from attnkit.attention.refine import REFINEMENTS
from attnkit.attention.score import SCORES

TYPES: dict[str, type[Part]] = {
    part.__name__: part
    for part in (Pairwise, Sum, Then, Mixture, *FACTORED, *SCORES, *POSITIONS, *PATTERNS, *NORMALIZERS, *REFINEMENTS)
}

_NONE = "none"


def to_plain(part: Part) -> dict[str, Any]:
    """`part` as a table of plain values with its type's name.

    A field that is None is left out where None is its default, and is the word "none" elsewhere: TOML has no null. A
    type that is not one of ours is written `module:Name`.
    """
    kind = type(part)
    name = kind.__name__ if TYPES.get(kind.__name__) is kind else f"{kind.__module__}:{kind.__qualname__}"
    plain: dict[str, Any] = {"type": name}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        if field.init and not (value is None and field.default is None):
            plain[field.name] = _NONE if value is None else _plain(value)
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return to_plain(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value


def from_plain(plain: Any, allow_code: bool = False) -> Part:
    """The part a table of plain values stands for: the inverse of `to_plain`.

    `module:Name` imports that module, which runs its code, and is refused unless `allow_code`.

    Raises: ValueError on an unknown type or field (naming the nearest), a missing field, or a value of the wrong kind.
    """
    try:
        return _made(plain, allow_code)
    except RecursionError:
        raise ValueError(
            "parts are nested more than a few hundred deep; write fewer tables inside one another"
        ) from None


def _made(plain: Any, allow_code: bool) -> Part:
    if not isinstance(plain, Mapping):
        raise ValueError(f"a part is a table with a type, such as {{type = 'ScaledDot'}}; got {plain!r}")
    if not isinstance(plain.get("type"), str):
        raise ValueError(f"a part needs a type, such as type = 'ScaledDot'; got the keys {sorted(map(str, plain))}")
    kind = _kind(plain["type"], allow_code)
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    given = {key: value for key, value in plain.items() if key != "type"}
    for key in given:
        if key not in fields:
            takes = f"it takes {', '.join(fields)}" if fields else "it takes none"
            raise ValueError(f"{kind.__name__} has no field {key!r}{nearest(str(key), fields)}; {takes}")
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if required and name not in given:
            raise ValueError(f"{kind.__name__} needs the field {name!r}")
    values = {key: plain_value(value, hints[key], f"{kind.__name__}.{key}", allow_code) for key, value in given.items()}
    return kind(**values)


def _kind(name: str, allow_code: bool) -> type[Part]:
    if name in TYPES:
        return TYPES[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"there is no part of type {name!r}{nearest(name, TYPES)}")
    if not allow_code:
        raise ValueError(f"type {name!r} would run the code of {module}; allow it with --allow-code (allow_code=True)")
    try:
        found = import_module(module)
        for step in attribute.split("."):
            found = getattr(found, step)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"type {name!r} cannot be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Part) and dataclasses.is_dataclass(found)):
        raise ValueError(f"type {name!r} is not a Part: it must be a frozen dataclass that extends one of attnkit's")
    return found


def plain_value(value: Any, hint: Any, field: str, allow_code: bool = False) -> Any:
    """`value` as the field's annotation wants it.

    Raises: ValueError where it is of another kind.
    """
    options = (
        typing.get_args(hint)
        if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
        else (hint,)
    )
    if type(None) in options and (value is None or (value == _NONE and str not in options)):
        return None
    for option in options:
        if typing.get_origin(option) is tuple and isinstance(value, list | tuple):
            return _tuple(value, typing.get_args(option), field, allow_code)
        if isinstance(option, type) and issubclass(option, Part) and isinstance(value, Mapping):
            part = _made(value, allow_code)
            if not isinstance(part, option):
                raise ValueError(f"{field} must be a {option.__name__}; got a {type(part).__name__}")
            return part
        if typing.get_origin(option) is typing.Literal and value in typing.get_args(option):
            return value
        if option in (bool, int, str) and type(value) is option:
            return value
        if option is float and type(value) in (int, float):
            return float(value)
    raise ValueError(f"{field} must be {_said(options)}; got {value!r}")


def _tuple(values: Iterable[Any], inner: tuple[Any, ...], field: str, allow_code: bool) -> tuple[Any, ...]:
    values = list(values)
    if len(inner) == 2 and inner[1] is Ellipsis:
        inner = (inner[0],) * len(values)
    if len(inner) != len(values):
        raise ValueError(f"{field} must hold {len(inner)} values; got {len(values)}")
    pairs = zip(values, inner, strict=True)
    return tuple(plain_value(one, hint, f"{field}[{index}]", allow_code) for index, (one, hint) in enumerate(pairs))


_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a string", type(None): "'none'"}


def _said(options: tuple[Any, ...]) -> str:
    words = []
    for option in options:
        if option in _WORDS:
            words.append(_WORDS[option])
        elif typing.get_origin(option) is tuple:
            words.append("a list")
        elif typing.get_origin(option) is typing.Literal:
            words.append("one of " + ", ".join(map(repr, typing.get_args(option))))
        else:
            words.append(f"a {getattr(option, '__name__', option)} (a table with a type)")
    return " or ".join(words)
