"""Situation: what a kernel may know before it runs: shapes, type, device, purpose; never the numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.where import Where

INTENTS = ("train", "infer", "export")


@dataclass(frozen=True)
class Situation:
    """Everything a choice of kernel depends on, hashable, so that a plan can be kept.

    `T` and `S` are None under the intent "export", which plans without looking at sizes.
    """

    heads: int
    key_heads: int
    width: int
    value_width: int
    T: int | None
    S: int | None
    dtype: torch.dtype
    device: str
    needs_grad: bool
    intent: str
    dropout: bool
    masked: bool
    aligned: bool

    @staticmethod
    def of(
        q_BHTD: Tensor,
        k_BGSD: Tensor,
        v_BGSE: Tensor,
        where: Where,
        *,
        dropout: float = 0.0,
        intent: str = "train",
        needs_grad: bool = False,
    ) -> "Situation":
        """The situation of these tensors; export is recognized where torch says that it is going on.

        Raises: ValueError for an unknown intent.
        """
        if intent not in INTENTS:
            raise ValueError(f"intent must be one of {', '.join(INTENTS)}; got {intent!r}")
        if torch.compiler.is_exporting():
            intent = "export"
        sized = intent != "export"
        return Situation(
            heads=q_BHTD.shape[1],
            key_heads=k_BGSD.shape[1],
            width=q_BHTD.shape[3],
            value_width=v_BGSE.shape[3],
            T=q_BHTD.shape[2] if sized else None,
            S=k_BGSD.shape[2] if sized else None,
            dtype=q_BHTD.dtype,
            device=q_BHTD.device.type,
            needs_grad=needs_grad,
            intent=intent,
            dropout=dropout > 0,
            masked=where.keep is not None or where.query_keep is not None,
            aligned=where.aligned,
        )
