"""Additive score."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.init import glorot, zeros
from attnkit.attention.part import Dims, Params, ParamSpec, needed, require
from attnkit.attention.score.base import Score
from attnkit.attention.where import Where


@dataclass(frozen=True)
class Additive(Score):
    """scores_ts = v . tanh(W_q q_t + W_k k_s + b) with W_q, W_k (D, hidden), b and v (hidden) learned a head.

    Raises: ValueError where `hidden` is below one.
    Source: Bahdanau, Cho and Bengio (2015), Neural machine translation by jointly learning to align and translate,
        appendix A.1.2.
    Cost: T x S x hidden tanh and multiply-adds a head, as much memory, and (T + S) x D x hidden multiply-adds.
    """

    hidden: int = 64

    def __post_init__(self) -> None:
        require(self.hidden >= 1, self, "hidden", "at least 1")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """`w_q`, `w_k`, `b` and `v`, each a head's own."""
        weight = ParamSpec((dims.heads, dims.width, self.hidden), glorot(dims.width, self.hidden))
        return {
            "w_q": weight,
            "w_k": weight,
            "b": ParamSpec((dims.heads, self.hidden), zeros),
            "v": ParamSpec((dims.heads, self.hidden), glorot(self.hidden, 1)),
        }

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        """scores_BHTS."""
        w_q, w_k, b, v = (needed(params, name, self).to(q_BHTD.dtype) for name in ("w_q", "w_k", "b", "v"))
        queries, keys = q_BHTD @ w_q + b[:, None], k_BHSD @ w_k
        hidden = torch.tanh(queries[..., :, None, :] + keys[..., None, :, :])
        return (hidden @ v[:, None, :, None]).squeeze(-1)
