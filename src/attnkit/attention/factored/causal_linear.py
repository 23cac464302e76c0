"""Causal linear attention: a recurrent network seen from the side."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Claims, where_or_all
from attnkit.attention.factored.base import Factored, over, real_keys, real_rows
from attnkit.attention.factored.linear import features
from attnkit.attention.heads import share_heads
from attnkit.attention.part import Params
from attnkit.attention.where import Where

CHUNK = 64


@dataclass(frozen=True)
class CausalLinear(Factored):
    """A_ts = phi(q_t) . phi(k_s) / sum_(u <= t) phi(q_t) . phi(k_u) for keys at s <= t, phi(x) = elu(x) + 1.

    Positions decide which key is earlier; with T != S the last query stands at the last key.

    Source: Katharopoulos et al. (2020), Transformers are RNNs, eq. 9 to 12; Hua et al. (2022) for the chunks.
    Cost: (T + S) x (D x E + 64 (D + E)) multiply-adds a head, (T + S) x D x E / 64 memory; `matrix` alone builds a map.
    """

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
        phi_q, phi_k = features(q), real_keys(features(share_heads(k, q.shape[1])), where)
        products = (phi_q @ phi_k.transpose(-1, -2)).masked_fill(where.j > where.i, 0.0)
        return real_rows(over(products, products.sum(-1, keepdim=True)), where)

    def mix(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        where: Where | None = None,
        params: Params | None = None,
        state: Tensor | None = None,
    ) -> Tensor:
        """out_BHTE, queries and keys merged into one line by position and read off in chunks."""
        where = where_or_all(where, q, k)
        H, T = q.shape[1], q.shape[-2]
        phi_k = real_keys(features(share_heads(k, H)), where)
        values = real_keys(share_heads(v, H), where)
        # A column of ones gives each row its own divisor.
        values = torch.cat([values, torch.ones_like(values[..., :1])], dim=-1)

        order, place = _line(where, q.shape[0])
        line_q = _take(F.pad(features(q), (0, 0, where.S, 0)), order)
        line_k = _take(F.pad(phi_k, (0, 0, 0, T)), order)
        line_v = _take(F.pad(values, (0, 0, 0, T)), order)
        out = _take(_running(line_q, line_k, line_v), place).to(v.dtype)
        return real_rows(over(out[..., :-1], out[..., -1:]), where)

    def claims(self) -> Claims:
        """Positive features, each row divided by its sum over the keys so far."""
        return Claims(rows_sum_to_one=True, nonnegative=True, causal=True)


def _line(where: Where, batch: int) -> tuple[Tensor, Tensor]:
    """Order (B, S + T) in which keys, then queries, stand in one line, and the queries' places (B, T) in it."""
    # Keys come before queries of the same position, since j <= i is seen.
    keys, queries = 2 * where.j[:, 0, 0], 2 * where.i[:, 0, :, 0] + 1
    positions = torch.cat([keys.expand(batch, -1), queries.expand(batch, -1)], dim=-1)
    order = positions.sort(dim=-1, stable=True).indices
    return order, order.argsort(dim=-1)[:, where.S :]


def _take(x_BHLD: Tensor, index_BN: Tensor) -> Tensor:
    """The tokens at `index_BN`, as (B, H, N, D)."""
    B, H, _, D = x_BHLD.shape
    return x_BHLD.gather(2, index_BN[:, None, :, None].expand(B, H, -1, D))


def _running(q_BHLD: Tensor, k_BHLD: Tensor, v_BHLE: Tensor) -> Tensor:
    """sum_(m <= l) (q_l . k_m) v_m as (B, H, L, E): within chunks by a small map, between them by a running sum."""
    B, H, L, _ = q_BHLD.shape
    # A chunk of nothing in front: each real chunk then has one before it, and an exported graph holds at any length.
    # Counted without a negative quotient, which ONNX rounds the other way.
    chunks = (L + CHUNK - 1) // CHUNK + 1
    # Sums over thousands of tokens are kept in at least float32.
    wide = torch.promote_types(q_BHLD.dtype, torch.float32)
    q, k, v = (
        F.pad(x.to(wide), (0, 0, CHUNK, (chunks - 1) * CHUNK - L)).reshape(B, H, chunks, CHUNK, x.shape[-1])
        for x in (q_BHLD, k_BHLD, v_BHLE)
    )
    within = (q @ k.transpose(-1, -2)).tril() @ v
    before = (k.transpose(-1, -2) @ v).cumsum(2).roll(1, 2)
    return (within + q @ before).reshape(B, H, chunks * CHUNK, -1)[:, :, CHUNK : CHUNK + L]
