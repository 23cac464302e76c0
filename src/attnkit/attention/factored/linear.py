"""Linear attention: softmax replaced by a product of positive features."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from attnkit.attention.base import Claims, where_or_all
from attnkit.attention.factored.base import Factored, over, real_keys, real_rows
from attnkit.attention.heads import share_heads
from attnkit.attention.part import Params
from attnkit.attention.where import Where


def features(x: Tensor) -> Tensor:
    """phi(x) = elu(x) + 1 > 0, feature by feature."""
    return F.elu(x) + 1.0


@dataclass(frozen=True)
class Linear(Factored):
    """A_ts = phi(q_t) . phi(k_s) / sum_u phi(q_t) . phi(k_u), phi(x) = elu(x) + 1, over the real keys.

    Source: Katharopoulos et al. (2020), Transformers are RNNs, eq. 5 and 7.
    Cost: (T + S) x D x E multiply-adds a head, D x E memory; the map is built by `matrix` alone.
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
        products = phi_q @ phi_k.transpose(-1, -2)
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
        """out_BHTE = phi(q) (phi(k)^T v) / phi(q) (phi(k)^T 1)."""
        where = where_or_all(where, q, k)
        H = q.shape[1]
        phi_q, phi_k = features(q), real_keys(features(share_heads(k, H)), where)
        total = phi_k.transpose(-1, -2) @ real_keys(share_heads(v, H), where)
        return real_rows(over(phi_q @ total, phi_q @ phi_k.sum(-2).unsqueeze(-1)), where)

    def claims(self) -> Claims:
        """Positive features, each row divided by its sum."""
        return Claims(rows_sum_to_one=True, nonnegative=True, order_free=True)
