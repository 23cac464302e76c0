"""Linformer: keys and values projected along the sequence to a few."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.base import where_or_all
from attnkit.attention.factored.base import Factored, real_keys, real_rows
from attnkit.attention.heads import share_heads
from attnkit.attention.init import normal
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Linformer(Factored):
    """A = softmax(q (E k)^T / sqrt(D)) F, with E = `project_k` and F = `project_v` learned, R x S a head.

    Columns of E and F at padding are zero, so that padding enters neither keys nor values. Rows need not sum to one.

    Raises: ValueError where `rank` or `max_keys` is below one, or a sequence has more than `max_keys` keys.
    Source: Wang et al. (2020), Linformer, eq. 7.
    Cost: R x (S (D + E) + T (D + E)) multiply-adds a head, R x T memory; the map is built by `matrix` alone.
    """

    rank: int
    max_keys: int

    def __post_init__(self) -> None:
        require(self.rank >= 1, self, "rank", "at least 1")
        require(self.max_keys >= 1, self, "max_keys", "at least 1")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`project_k` and `project_v`, each (H, R, max_keys)."""
        spec = ParamSpec((dims.heads, self.rank, self.max_keys), normal(self.max_keys**-0.5))
        return {"project_k": spec, "project_v": spec}

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
        weights = self._weights(q, k, where, params or {})
        columns = self._projection(params or {}, "project_v", where.S, q.dtype)
        if where.keep is not None:
            columns = columns.masked_fill(~where.keep[:, None, None, :], 0.0)
        return real_rows(weights @ columns, where)

    def mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """out_BHTE = softmax(q (E k)^T / sqrt(D)) (F v)."""
        where = where_or_all(where, q, k)
        weights = self._weights(q, k, where, params or {})
        columns = self._projection(params or {}, "project_v", where.S, q.dtype)
        return real_rows(weights @ (columns @ real_keys(share_heads(v, q.shape[1]), where)), where)

    def _weights(self, q: Tensor, k: Tensor, where: Where, params: Params) -> Tensor:
        """softmax over the R projected keys, (B, H, T, R)."""
        columns = self._projection(params, "project_k", where.S, q.dtype)
        projected = columns @ real_keys(share_heads(k, q.shape[1]), where)
        return torch.softmax(q @ projected.transpose(-1, -2) / math.sqrt(q.shape[-1]), dim=-1)

    def _projection(self, params: Params, name: str, keys: int, dtype: torch.dtype) -> Tensor:
        """The first `keys` columns of a projection, (H, R, S)."""
        if keys > self.max_keys:
            raise ValueError(
                f"Linformer(rank={self.rank}) was built for at most {self.max_keys} keys and got {keys}; "
                f"build it with max_keys >= {keys}"
            )
        # Not a slice: an exported slice refuses the very length max_keys.
        columns = needed(params, name, self)
        return columns.index_select(-1, torch.arange(keys, device=columns.device)).to(dtype)
