"""Describe any operator in words: formula, source, cost, what it learns, what it claims, and whom each token meets."""

import dataclasses
import inspect
import re
from typing import Any

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.catalogue import CATALOGUE, named
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, Part, init_params
from attnkit.attention.pattern.full import Full
from attnkit.attention.plain import to_plain
from attnkit.attention.position.none import NoPosition
from attnkit.attention.where import Where

_SECTION = re.compile(r"^(Picture|Raises|Source|Cost):\s*", re.MULTILINE)
_SIDE = 8


def describe(operator: Attention | str, dims: Dims = Dims(4, 64, 64)) -> str:  # noqa: B008 - a frozen value
    """`operator`, or the catalogue line of that name, as a page of text.

    Raises: ValueError naming the nearest line where there is none of that name.
    """
    told = description(operator, dims)
    lines = []
    if told["name"]:
        lines += [f"{told['name']}: {told['summary']}", f"{told['source']}", ""]
    for part in told["parts"]:
        lines += [f"{part['role']}: {part['setting']}", f"    {part['formula']}"]
        lines += [f"    {word.capitalize()}: {part[word]}" for word in ("source", "cost") if part[word]]
    claims = told["claims"]
    yes = [name.replace("_", " ") for name, holds in claims.items() if holds]
    no = [name.replace("_", " ") for name, holds in claims.items() if not holds]
    lines += ["", "claims: " + (", ".join(yes) or "nothing") + (f" (not: {', '.join(no)})" if no else "")]
    lines += ["step by step with a cache: " + (f"no, {told['refuses_cache']}" if told["refuses_cache"] else "yes")]
    learned = [f"{name} {'x'.join(map(str, shape)) or 'one number'}" for name, shape in told["parameters"].items()]
    sizes = f"at H={dims.heads}, D={dims.width}, E={dims.value_width}"
    lines += [f"learns {sizes}: " + (f"{told['parameter_count']:,} ({'; '.join(learned)})" if learned else "nothing")]
    whole = {"of": "", "rows": told["picture"], "said": told["picture_said"]}
    for drawn in (whole, *told["pictures_inside"]):
        lines += ["", f"who meets whom{drawn['of'] and ', ' + drawn['of']} ({drawn['said']}):"]
        lines += [f"    {row}" for row in drawn["rows"]]
    return "\n".join(lines)


def description(operator: Attention | str, dims: Dims = Dims(4, 64, 64)) -> dict[str, Any]:  # noqa: B008
    """What `describe` says, as plain data for JSON.

    Raises: ValueError naming the nearest line where there is none of that name.
    """
    spec = named(operator) if isinstance(operator, str) else operator
    name = operator if isinstance(operator, str) else next((n for n, e in CATALOGUE.items() if e.operator == spec), "")
    entry = CATALOGUE.get(name)
    shapes = {key: list(param.shape) for key, param in spec.parameters(dims).items()}
    whole = picture(spec)
    return {
        "name": name,
        "summary": entry.summary if entry else "",
        "source": entry.source if entry else "",
        "toy": entry.toy if entry else "",
        "operator": to_plain(spec),
        "parts": [_told(role or "operator", part) for role, part in _parts(spec)],
        "claims": dataclasses.asdict(spec.claims()),
        "refuses_cache": spec.refuses_cache(),
        "parameters": shapes,
        "parameter_count": sum(torch.Size(shape).numel() for shape in shapes.values()),
        "picture": whole["rows"],
        "picture_said": whole["said"],
        "pictures_inside": [{"of": role, **picture(part)} for role, part in _operators_inside(spec)],
    }


def picture(spec: Attention) -> dict[str, Any]:
    """`rows`, eight of eight signs, and what they `said`: '#' all pairs meet, '+' some, '.' none.

    The sequence is the shortest of a few lengths at which the rule is more than full or causal.
    """
    for block in (1, 4, 16, 64):
        met = _met(spec, _SIDE * block)
        if not (met.all() or torch.equal(met, torch.ones_like(met).tril())):
            break
    else:
        block, met = 1, _met(spec, _SIDE)
    share = met.double().unflatten(0, (_SIDE, block)).unflatten(2, (_SIDE, block)).mean((1, 3))
    rows = ["".join("#" if x == 1 else "+" if x > 0 else "." for x in row) for row in share.tolist()]
    blocks = f"{_SIDE * block} tokens in {_SIDE} blocks, row = query, + = in part"
    return {"rows": rows, "said": blocks if block > 1 else f"{_SIDE} tokens, row = query"}


def _met(spec: Attention, n: int) -> Tensor:
    """True where a query may meet a key, (n, n), three documents of a sequence standing for any."""
    document = torch.arange(n) * 3 // n
    where = Where.of(n, n, query_document=document, key_document=document)
    if isinstance(spec, Pairwise):
        allowed = spec.allowed(where)
        return torch.ones(n, n, dtype=torch.bool) if allowed is None else allowed.expand(1, 1, n, n)[0, 0]
    generator = torch.Generator().manual_seed(0)
    dims = Dims(2, 8, 8)
    q, k = (torch.randn(4, 2, n, 8, generator=generator, dtype=torch.float64) for _ in "qk")
    params = init_params(spec, dims, generator, torch.float64)
    return (spec.matrix(q, k, where, params) != 0).flatten(0, 1).any(0)


def _parts(spec: Part) -> list[tuple[str, Part]]:
    """Every part that says something by the name its parameters carry, those inside others too."""
    if isinstance(spec, Pairwise):
        found: list[tuple[str, Part]] = []
        held: list[tuple[str, Part]] = [
            (role, part) for role, part in spec.named_parts() if not isinstance(part, NoPosition | Full)
        ]
    else:
        found, held = [("", spec)], _held(spec)
    for role, part in held:
        found += [(f"{role}.{inner}".removesuffix("."), one) for inner, one in _parts(part)]
    return found


def _operators_inside(spec: Attention) -> list[tuple[str, Attention]]:
    """The operators that one is combined from."""
    return [(role, part) for role, part in _held(spec) if isinstance(part, Attention)]


def _held(part: Part) -> list[tuple[str, Part]]:
    """The parts in the fields of another, by the name of the field."""
    found = []
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        numbered = (
            [(f"{field.name}.{index}", one) for index, one in enumerate(value)] if isinstance(value, tuple) else []
        )
        found += [(role, one) for role, one in [*numbered, (field.name, value)] if isinstance(one, Part)]
    return found


def _setting(value: Any) -> str:
    """As `repr`, without what is None and without parts left at their default."""
    if isinstance(value, tuple):
        return f"({', '.join(map(_setting, value))})"
    if not isinstance(value, Part):
        return repr(value)
    said = [(field, getattr(value, field.name)) for field in dataclasses.fields(value) if field.init]
    given = [
        f"{field.name}={_setting(one)}"
        for field, one in said
        if one != field.default or not (one is None or isinstance(one, Part | tuple))
    ]
    return f"{type(value).__name__}({', '.join(given)})"


def _told(role: str, part: Part) -> dict[str, str]:
    pieces = _SECTION.split(inspect.getdoc(type(part)) or "")
    sections = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    formula = " ".join(pieces[0].strip().split("\n\n")[0].split())

    def said(section: str) -> str:
        return " ".join(sections.get(section, "").split())

    return {"role": role, "setting": _setting(part), "formula": formula, "source": said("Source"), "cost": said("Cost")}
