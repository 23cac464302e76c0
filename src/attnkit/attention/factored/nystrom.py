"""Nyström attention: the map rebuilt from a few landmarks."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.base import where_or_all
from attnkit.attention.factored.base import Factored, over, real_rows
from attnkit.attention.heads import share_heads
from attnkit.attention.normalizer.softmax import Softmax
from attnkit.attention.part import Params, require
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Nystrom(Factored):
    """A = softmax(q k~^T) Z softmax(q~ k^T), Z ~ pinv(softmax(q~ k~^T)), each product over sqrt(D).

    Landmark r of R = `landmarks` is the mean of the real tokens whose rank p has floor(p R / n) = r, n the number of
    real queries (q~) or keys (k~): padding is never in a landmark, and a landmark without a token takes no part.
    Z is found by `iterations` steps Z <- Z (13 I - A Z (15 I - A Z (7 I - A Z))) / 4; rows need not sum to one.

    Raises: ValueError where `landmarks` is below two or `iterations` below one.
    Source: Xiong et al. (2021), Nystromformer, eq. 8 to 14.
    Cost: R (T + S) (D + E) + 4 x iterations x R^3 multiply-adds a head, R (T + S) memory; `matrix` alone builds a map.
    """

    landmarks: int = 32
    iterations: int = 6

    def __post_init__(self) -> None:
        # The mean of everything is one landmark only in name: its map is the same for each query.
        require(self.landmarks >= 2, self, "landmarks", "at least 2")
        require(self.iterations >= 1, self, "iterations", "at least 1")

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
        rows, middle, columns = self._factors(q, k, where)
        return real_rows((rows @ middle) @ columns, where).to(q.dtype)

    def mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """out_BHTE, the three factors applied to the values from right to left."""
        where = where_or_all(where, q, k)
        rows, middle, columns = self._factors(q, k, where)
        values = share_heads(v, q.shape[1]).to(columns.dtype)
        return real_rows(rows @ (middle @ (columns @ values)), where).to(v.dtype)

    def _factors(self, q: Tensor, k: Tensor, where: Where) -> tuple[Tensor, Tensor, Tensor]:
        """softmax(q k~^T) (B, H, T, R), Z (B, H, R, R) and softmax(q~ k^T) (B, H, R, S)."""
        # The middle factor is near singular and magnifies rounding: it is small, so it is made in float64.
        wide = torch.promote_types(q.dtype, torch.float32)
        q, k = q.to(wide) / math.sqrt(q.shape[-1]), share_heads(k, q.shape[1]).to(wide)
        mean_q, real_q = landmarks(q, where.query_keep, self.landmarks)
        mean_k, real_k = landmarks(k, where.keep, self.landmarks)
        keep = None if where.keep is None else where.keep[:, None, None, :]
        real_q, real_k = real_q[:, None, :, None], real_k[:, None, None, :]
        rows = _softmax(q @ mean_k.mT, real_k)
        middle = _softmax(mean_q.double() @ mean_k.double().mT, real_q & real_k)
        columns = _softmax(mean_q @ k.mT, real_q if keep is None else real_q & keep)
        return rows, self._inverse(middle).to(wide), columns

    def _inverse(self, a_BHRR: Tensor) -> Tensor:
        """The iterated pseudo-inverse; rows and columns that are zero stay zero."""
        most = a_BHRR.sum(-2).amax(-1) * a_BHRR.sum(-1).amax(-1)
        z = over(a_BHRR.mT, most[..., None, None])
        eye = torch.eye(self.landmarks, dtype=a_BHRR.dtype, device=a_BHRR.device)
        for _ in range(self.iterations):
            az = a_BHRR @ z
            z = z @ (13 * eye - az @ (15 * eye - az @ (7 * eye - az))) / 4
        return z


def landmarks(x_BHLD: Tensor, keep_BL: Tensor | None, count: int) -> tuple[Tensor, Tensor]:
    """Means of `count` equal runs of the real tokens, (B, H, R, D), and which runs hold a token, (B or 1, R)."""
    if keep_BL is None:
        keep_BL = torch.ones_like(x_BHLD[:1, 0, :, 0], dtype=torch.bool)
    real = keep_BL.sum(-1, keepdim=True).clamp(min=1)
    run_BL = (keep_BL.cumsum(-1) - 1) * count // real
    member_BRL = (run_BL[:, None, :] == torch.arange(count, device=x_BHLD.device)[:, None]) & keep_BL[:, None, :]
    size_BR = member_BRL.sum(-1)
    share_BRL = member_BRL.to(x_BHLD.dtype) / size_BR.clamp(min=1)[..., None]
    return share_BRL[:, None] @ x_BHLD, size_BR > 0


def _softmax(scores: Tensor, allowed: Tensor) -> Tensor:
    return Softmax().weights(scores, allowed, {})
