"""Soft cap around another score."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.part import Dims, Params, ParamSpec, nested, require, scoped
from attnkit.attention.score.base import Score
from attnkit.attention.score.scaled_dot import ScaledDot
from attnkit.attention.where import Where


@dataclass(frozen=True)
class SoftCap(Score):
    """scores_ts = cap * tanh(score_ts / cap): scores stay between -cap and cap, and near zero as they were.

    A position's bias is added after the cap.

    Raises: ValueError where `score` is not a Score or `cap` not a finite number above 0.
    Source: Gemma Team (2024), Gemma 2, section 2, "logit soft-capping"; Bello et al. (2016), appendix A.2.
    Cost: the inner score's, and T x S tanh a head.
    """

    score: Score = ScaledDot()
    cap: float = 50.0

    def __post_init__(self) -> None:
        require(isinstance(self.score, Score), self, "score", "a Score")
        require(math.isfinite(self.cap) and self.cap > 0, self, "cap", "a finite number above 0")

    def parameters(self, dims: Dims) -> dict[str, ParamSpec]:
        """The inner score's, under `score`."""
        return nested("score", self.score.parameters(dims))

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        """scores_BHTS."""
        inner = self.score.scores(q_BHTD, k_BHSD, where, scoped(params, "score"))
        return self.cap * torch.tanh(inner / self.cap)

    @property
    def order_free(self) -> bool:
        """As the inner score."""
        return self.score.order_free
