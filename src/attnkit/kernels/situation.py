"""Situation: what a kernel may know before it runs: shapes, type, device, purpose; never the numbers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.where import Where
from attnkit.kernels.native import library

INTENTS = ("train", "infer", "export")


@dataclass(frozen=True)
class Situation:
    """Everything a choice of kernel depends on, hashable, so that a plan can be kept.

    `batch`, `T` and `S` are None under the intent "export", which plans without looking at sizes. `needs_grad` says
    that anything at all wants a gradient, `learns` that a parameter of the operator does. `lengths` says that numbers
    of real keys were given, `documents` that ids were, `aligned` that the positions are the default ones.
    `threads` are torch's, and `loops` says that the native ones are active.
    """

    batch: int | None
    heads: int
    key_heads: int
    width: int
    value_width: int
    T: int | None
    S: int | None
    dtype: torch.dtype
    device: str
    needs_grad: bool
    learns: bool
    intent: str
    dropout: bool
    keep: bool
    query_keep: bool
    lengths: bool
    documents: bool
    aligned: bool
    threads: int
    loops: bool

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
        learns: bool = False,
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
            batch=q_BHTD.shape[0] if sized else None,
            heads=q_BHTD.shape[1],
            key_heads=k_BGSD.shape[1],
            width=q_BHTD.shape[3],
            value_width=v_BGSE.shape[3],
            T=q_BHTD.shape[2] if sized else None,
            S=k_BGSD.shape[2] if sized else None,
            dtype=q_BHTD.dtype,
            device=q_BHTD.device.type,
            needs_grad=needs_grad,
            learns=learns,
            intent=intent,
            dropout=dropout > 0,
            keep=where.keep is not None,
            query_keep=where.query_keep is not None,
            lengths=where.lengths is not None,
            documents=where.query_document is not None,
            aligned=where.aligned,
            # What torch.compile looks into is torch's own, on which neither has a bearing; it cannot ask for them.
            threads=1 if torch.compiler.is_compiling() else torch.get_num_threads(),
            loops=not torch.compiler.is_compiling() and library() is not None,
        )

    @property
    def masked(self) -> bool:
        """True where a query or a key may be padding."""
        return self.keep or self.query_keep

    @property
    def itemsize(self) -> int:
        """Bytes of one number."""
        return self.dtype.itemsize
