"""Performer: softmax attention estimated with positive random features."""

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from attnkit.attention.base import Claims, where_or_all
from attnkit.attention.factored.base import Factored, over, real_keys, real_rows
from attnkit.attention.heads import share_heads
from attnkit.attention.part import Params, require
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Performer(Factored):
    """A_ts = phi(q_t) . phi(k_s) / sum_u phi(q_t) . phi(k_u), phi_r(x) = exp(w_r . x' - |x'|^2 / 2), x' = x / D^(1/4).

    The R = `features` directions w_r are orthogonal in groups of D and as long as normal vectors; `seed` draws them
    and nothing is stored. The kernel phi(q) . phi(k) / R is exp(q . k / sqrt(D)) on average, and its spread grows with
    exp(|q' + k'|^2): on inputs of unit variance and D = 64 the result is far from softmax attention; it is an operator
    of its own, to be trained with.

    Raises: ValueError where `features` is below one.
    Source: Choromanski et al. (2021), Rethinking attention with performers, lemma 1 and section 2.4 (FAVOR+).
    Cost: (T + S) x R x (D + E) multiply-adds a head, R x (T + S + E) memory; the map is built by `matrix` alone.
    """

    features: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.features >= 1, self, "features", "at least 1")

    def matrix(
        self,
        q: Tensor,
        k: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """The map A_BHTS."""
        where = where_or_all(where, q, k)
        phi_q, phi_k = self._features(q, k, where)
        products = phi_q @ phi_k.transpose(-1, -2)
        return real_rows(over(products, products.sum(-1, keepdim=True)), where).to(q.dtype)

    def mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """out_BHTE = phi(q) (phi(k)^T v) / phi(q) (phi(k)^T 1)."""
        where = where_or_all(where, q, k)
        phi_q, phi_k = self._features(q, k, where)
        values = real_keys(share_heads(v, q.shape[1]), where).to(phi_k.dtype)
        total = phi_q @ (phi_k.transpose(-1, -2) @ values)
        return real_rows(over(total, phi_q @ phi_k.sum(-2).unsqueeze(-1)), where).to(v.dtype)

    def _features(self, q: Tensor, k: Tensor, where: Where) -> tuple[Tensor, Tensor]:
        """phi(q) (B, H, T, R) and phi(k) (B, H, S, R), each up to factors that cancel in the ratio."""
        D = q.shape[-1]
        # Exponents are taken in at least float32: an error in them is an error in the digits of the weight.
        wide = torch.promote_types(q.dtype, torch.float32)
        w_DR = torch.tensor(directions(self.features, D, self.seed), dtype=wide, device=q.device).mT
        q, k = (x.to(wide) * D**-0.25 for x in (q, share_heads(k, q.shape[1])))
        log_k = k @ w_DR - k.square().sum(-1, keepdim=True) / 2
        none = torch.finfo(wide).min
        if where.keep is not None:
            log_k = log_k.masked_fill(~where.keep[:, None, :, None], none)
        # Each feature hands its largest key to the queries, and each query then loses its largest feature: somewhere
        # in every row stands 1 x 1, so no sum of a row underflows, whatever the norms.
        most_k = log_k.amax(-2, keepdim=True).detach()
        most_k = most_k.masked_fill(most_k == none, 0.0)
        # -|q'|^2 / 2 is the same for all features of a query and goes with its largest.
        log_q = q @ w_DR + most_k
        phi_q = (log_q - log_q.amax(-1, keepdim=True).detach()).exp()
        return phi_q, real_keys((log_k - most_k).exp(), where)

    def claims(self) -> Claims:
        """Positive features, each row divided by its sum."""
        return Claims(rows_sum_to_one=True, nonnegative=True, order_free=True)


@lru_cache(maxsize=32)
def directions(features: int, width: int, seed: int) -> tuple[tuple[float, ...], ...]:
    """`features` normal vectors of `width` numbers, orthogonal in groups of `width`; the same on every machine.

    Python's own generator draws them, so that an exported graph holds them as a constant.
    """
    draw = random.Random(seed)
    rows: list[tuple[float, ...]] = []
    while len(rows) < features:
        group: list[list[float]] = []
        for _ in range(min(width, features - len(rows))):
            row = [draw.gauss(0.0, 1.0) for _ in range(width)]
            for other in group:
                along = sum(a * b for a, b in zip(row, other, strict=True))
                row = [a - along * b for a, b in zip(row, other, strict=True)]
            length = math.hypot(*row)
            group.append([a / length for a in row])
        for unit in group:
            length = math.hypot(*(draw.gauss(0.0, 1.0) for _ in range(width)))
            rows.append(tuple(a * length for a in unit))
    return tuple(rows)
