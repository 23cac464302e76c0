"""Toeplitz masks: what depends on the distance j - i alone, as a strided view of one vector of S + T - 1 numbers."""

import torch
from torch import Tensor

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, Params
from attnkit.attention.pattern import Both, Causal, Dilated, Either, Full, Outside, Strided, Window
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.position.base import DistanceBias, Position
from attnkit.attention.where import Where
from attnkit.kernels.situation import Situation

_OF_DISTANCE = (Full, Causal, Window, Dilated, Strided)


def by_distance_alone(pattern: Pattern) -> bool:
    """True where the rule looks at j - i and nothing else."""
    if type(pattern) in (Both, Either):
        assert isinstance(pattern, Both | Either)
        return by_distance_alone(pattern.first) and by_distance_alone(pattern.second)
    if type(pattern) is Outside:
        return by_distance_alone(pattern.inner)
    return type(pattern) in _OF_DISTANCE


def is_distance_bias(position: Position) -> bool:
    """True where the position adds a function of distance; a user's own class may have changed what it adds."""
    return isinstance(position, DistanceBias) and type(position).bias is DistanceBias.bias


def bias_told_by_distance(spec: Pairwise, situation: Situation) -> str | None:
    """Why the bias cannot enter as a vector of distances without gradients; None where it can, or there is none."""
    position = spec.position
    if type(position).bias is Position.bias:
        return None
    if not is_distance_bias(position) or not situation.aligned:
        return f"the position {type(position).__name__} adds a bias that distance alone does not tell"
    dims = Dims(situation.heads, situation.width, situation.value_width)
    if situation.learns and position.parameters(dims):
        return f"the position {type(position).__name__} learns, and the fused kernel gives a bias no gradient"
    return None


def distances(T: int, S: int, device: torch.device | None = None) -> Tensor:
    """Every j - i of T queries aligned bottom-right on S keys: -(S - 1) .. T - 1, as (S + T - 1,)."""
    return torch.arange(1 - S, T, device=device)


def visible_distances(pattern: Pattern, T: int, S: int, device: torch.device | None = None) -> Tensor:
    """True at each distance that the pattern lets meet, (S + T - 1,)."""
    distance = distances(T, S, device)
    here = torch.zeros(1, 1, 1, 1, dtype=torch.int64, device=device)
    where = Where(here.flatten(), distance)
    return pattern.allowed(here, distance[None, None, None, :], where).flatten()


def bias_by_distance(
    position: Position, params: Params, heads: int, T: int, S: int, dtype: torch.dtype, device: torch.device | None
) -> Tensor:
    """The bias of each distance a head, (H, S + T - 1)."""
    assert isinstance(position, DistanceBias)
    return position.by_distance(distances(T, S, device), params, heads, dtype)


def upward_view(vector_HL: Tensor, T: int, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """The slab of queries `rows`, last query first, on keys `columns`: (H, rows, columns), a view without memory.

    Row by row upwards both strides are one; downwards one of them would be negative, which torch does not know.
    """
    height, width = rows[1] - rows[0], columns[1] - columns[0]
    start = vector_HL.storage_offset() + columns[0] + T - rows[1]
    return vector_HL.as_strided((vector_HL.shape[0], height, width), (vector_HL.stride(0), 1, 1), start)
