"""Part: the frozen, comparable, printable value object that every mechanism is made of."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import Init

Params = Mapping[str, Tensor]


@dataclass(frozen=True)
class Dims:
    """Sizes a part may need to shape its parameters: H heads, D head width, E value width."""

    heads: int
    width: int
    value_width: int


@dataclass(frozen=True)
class ParamSpec:
    """Shape and first values of one learned tensor."""

    shape: tuple[int, ...]
    init: Init


@dataclass(frozen=True)
class Part:
    """Settings of one mechanism, never its tensors: parts compare, hash, print and go into TOML."""

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """Names and shapes of what this part learns; names may be dotted where parts hold parts."""
        return {}


def scoped(params: Params | None, prefix: str) -> dict[str, Tensor]:
    """The entries of `params` below `prefix`, with `prefix.` taken off their names."""
    start = prefix + "."
    return {name[len(start) :]: value for name, value in (params or {}).items() if name.startswith(start)}


def nested(prefix: str, specs: Mapping[str, ParamSpec]) -> dict[str, ParamSpec]:
    """The specifications with `prefix.` put before each name."""
    return {f"{prefix}.{name}": spec for name, spec in specs.items()}


def needed(params: Params, name: str, owner: Part) -> Tensor:
    """The tensor called `name`.

    Raises: KeyError naming the part and the parameter where it was not handed in.
    """
    if name not in params:
        raise KeyError(
            f"{type(owner).__name__} needs the parameter {name!r} and got {sorted(params) or 'none'}; "
            "make them with init_params(spec, dims) or use a layer"
        )
    return params[name]


def init_params(
    part: Part, dims: Dims, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    """Fresh tensors for everything `part` learns, by dotted name."""
    return {name: spec.init.fill(spec.shape, generator).to(dtype) for name, spec in part.parameters(dims).items()}


def require(holds: bool, part: Part, field: str, rule: str) -> None:
    """Refuse a bad setting.

    Raises: ValueError naming the part, the field, what it was and what it must be.
    """
    if not holds:
        raise ValueError(f"{type(part).__name__}.{field} must be {rule}; got {getattr(part, field)!r}")
