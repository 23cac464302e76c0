"""Products: scores that are one product of another query and key, for kernels that know dot products alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from attnkit.attention.normalizer import Entmax, Softmax, Sparsemax, TopK
from attnkit.attention.normalizer.base import Normalizer
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params, needed, scoped
from attnkit.attention.score import Cosine, Dot, Euclidean, General, Location, ScaledDot
from attnkit.attention.score.base import Score
from attnkit.attention.score.cosine import unit
from attnkit.attention.score.euclidean import centered
from attnkit.attention.where import Where


@dataclass(frozen=True, eq=False)
class Products:
    """scores_ts = scale * (q_t . k_s), up to a constant a row where that was allowed; one width for both."""

    q_BHTD: Tensor
    k_BHSD: Tensor
    scale: float = 1.0


def products(
    score: Score, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params, shift_free: bool
) -> Products | None:
    """The products that `score` comes down to, or None where it is not one product.

    `shift_free` allows a constant to be added to each row of scores, which a softmax does not see.
    Cost: (T + S) x D multiply-adds a head and as much memory, or a matrix product for the general score.
    """
    # Exact types: what a user's own class derived from one of these changes would be lost.
    made = _MAKERS.get(type(score))
    return None if made is None else made(score, q_BHTD, k_BHSD, where, params, shift_free)


def is_product(score: Score) -> bool:
    """True where `products` finds one."""
    return type(score) in _MAKERS


def turned(spec: Pairwise, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> tuple[Tensor, Tensor]:
    """Queries and keys with their positions in them."""
    own = scoped(params, "position")
    return (
        spec.position.turn(q_BHTD, where.query_position, own),
        spec.position.turn(k_BHSD, where.key_position, own),
    )


def ignores_shifts(normalizer: Normalizer) -> bool:
    """True where adding a constant to a row of scores leaves its weights alone."""
    return type(normalizer) in (Softmax, Sparsemax, Entmax, TopK)


def _dot(score: Score, q: Tensor, k: Tensor, where: Where, params: Params, shift_free: bool) -> Products:
    return Products(q, k)


def _scaled_dot(score: Score, q: Tensor, k: Tensor, where: Where, params: Params, shift_free: bool) -> Products:
    scale = cast(ScaledDot, score).scale
    return Products(q, k, 1.0 / math.sqrt(q.shape[-1]) if scale is None else scale)


def _general(score: Score, q: Tensor, k: Tensor, where: Where, params: Params, shift_free: bool) -> Products:
    return Products(q @ needed(params, "w", score).to(q.dtype), k)


def _location(score: Score, q: Tensor, k: Tensor, where: Where, params: Params, shift_free: bool) -> Products:
    rows = cast(Location, score).rows(where.key_position, params, q.dtype)
    return Products(q, rows.expand(q.shape[0], -1, -1, -1))


def _cosine(score: Score, q: Tensor, k: Tensor, where: Where, params: Params, shift_free: bool) -> Products:
    scale = cast(Cosine, score).scale
    if scale is not None:
        return Products(unit(q), unit(k), scale)
    learned = needed(params, "log_scale", score).exp().to(q.dtype)[:, None, None]
    return Products(unit(q) * learned, unit(k))


def _euclidean(score: Score, q: Tensor, k: Tensor, where: Where, params: Params, shift_free: bool) -> Products:
    """[2 c q, 1, -c |q|^2] . [k, -c |k|^2, 1] with c = 1 / (2 width^2); the last column only where shifts are seen."""
    euclidean = cast(Euclidean, score)
    q, k = centered(q, k, where)
    if euclidean.width is not None:
        c: Tensor | float = 0.5 / euclidean.width**2
    else:
        c = 0.5 * torch.exp(-2.0 * needed(params, "log_width", score).to(q.dtype))[:, None, None]
    columns_q = [2.0 * c * q, torch.ones_like(q[..., :1])]
    columns_k = [k, -c * k.square().sum(-1, keepdim=True)]
    if not shift_free:
        columns_q.append(-c * q.square().sum(-1, keepdim=True))
        columns_k.append(torch.ones_like(k[..., :1]))
    return Products(torch.cat(columns_q, dim=-1), torch.cat(columns_k, dim=-1))


_Maker = Callable[[Score, Tensor, Tensor, Where, Params, bool], Products]
_MAKERS: dict[type[Score], _Maker] = {
    Dot: _dot,
    ScaledDot: _scaled_dot,
    General: _general,
    Location: _location,
    Cosine: _cosine,
    Euclidean: _euclidean,
}
