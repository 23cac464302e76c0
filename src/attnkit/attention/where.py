"""Where: the one object that says which query may meet which key."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor


def _row(x: Tensor) -> Tensor:
    """(L,) or (B, L) as (1 or B, L)."""
    return x if x.dim() == 2 else x.unsqueeze(0)


@dataclass(frozen=True, eq=False)
class Where:
    """Positions of queries and keys, what is real, and which document each belongs to.

    `query_position` (T,) or (B, T) and `key_position` (S,) or (B, S) are int64. `keep` (B, S) and `query_keep` (B, T)
    are boolean, True = keep. `query_document` and `key_document` are int64 ids shaped like the positions. `lengths`
    (B,) are the numbers of real keys where they are known and the real keys come first; `of` makes a `keep` of them.
    Kernels trust `lengths` and do not look at `keep` beside them. `count` (B,) is the number of real keys of the whole,
    where only some of its columns are here. `aligned` says that the positions are the default ones, so that a kernel
    need not read them to know.
    """

    query_position: Tensor
    key_position: Tensor
    keep: Tensor | None = None
    query_keep: Tensor | None = None
    query_document: Tensor | None = None
    key_document: Tensor | None = None
    lengths: Tensor | None = None
    aligned: bool = False
    count: Tensor | None = None

    @staticmethod
    def of(
        T: int,
        S: int,
        *,
        keep: Tensor | None = None,
        query_keep: Tensor | None = None,
        query_position: Tensor | None = None,
        key_position: Tensor | None = None,
        query_document: Tensor | None = None,
        key_document: Tensor | None = None,
        lengths: Tensor | None = None,
        device: torch.device | str | None = None,
    ) -> "Where":
        """T queries aligned bottom-right on S keys: the last query stands at the last key, unless positions are given.

        `lengths` alone hide every key behind them, as the `keep` they stand for would.

        Raises: ValueError where a mask is not boolean or does not have T or S columns, or lengths are not (B,) int64 of
            0 to S.
        """
        if lengths is not None:
            if lengths.dim() != 1 or lengths.dtype != torch.int64:
                raise ValueError(f"lengths must be int64 of shape (B,); got {lengths.dtype} {tuple(lengths.shape)}")
            if not torch.compiler.is_compiling() and bool(((lengths < 0) | (lengths > S)).any()):
                raise ValueError(f"lengths must be in 0..{S}, the number of keys; got {lengths.tolist()}")
            if keep is None:
                keep = torch.arange(S, device=lengths.device) < lengths[:, None]
        for name, mask, size in (("keep", keep, S), ("query_keep", query_keep, T)):
            if mask is None:
                continue
            if mask.dtype != torch.bool:
                raise ValueError(f"{name} must be boolean, True = keep; got {mask.dtype}: pass {name}.bool()")
            if mask.dim() != 2 or mask.shape[1] != size:
                raise ValueError(f"{name} must have shape (B, {size}); got {tuple(mask.shape)}")
        if device is None and keep is not None:
            device = keep.device
        aligned = key_position is None and query_position is None
        if key_position is None:
            key_position = torch.arange(S, device=device)
        if query_position is None:
            query_position = torch.arange(T, device=device) + (S - T)
        return Where(query_position, key_position, keep, query_keep, query_document, key_document, lengths, aligned)

    @property
    def T(self) -> int:
        """Number of queries."""
        return self.query_position.shape[-1]

    @property
    def S(self) -> int:
        """Number of keys, padding included."""
        return self.key_position.shape[-1]

    @property
    def i(self) -> Tensor:
        """Query positions as (B or 1, 1, T, 1), ready to meet `j`."""
        return _row(self.query_position)[:, None, :, None]

    @property
    def j(self) -> Tensor:
        """Key positions as (B or 1, 1, 1, S)."""
        return _row(self.key_position)[:, None, None, :]

    @property
    def kept(self) -> Tensor | None:
        """True where query and key are both real, broadcastable to (B, H, T, S); None where nothing is padding."""
        keys = None if self.keep is None else self.keep[:, None, None, :]
        if self.query_keep is None:
            return keys
        queries = self.query_keep[:, None, :, None]
        return queries if keys is None else queries & keys

    @property
    def same_document(self) -> Tensor | None:
        """True where query and key belong to one document, as (B or 1, 1, T, S); None where no ids were given."""
        if self.query_document is None or self.key_document is None:
            return None
        return _row(self.query_document)[:, None, :, None] == _row(self.key_document)[:, None, None, :]

    @property
    def real_lengths(self) -> Tensor:
        """Number of real keys as (B or 1,), int64."""
        if self.count is not None:
            return self.count
        if self.lengths is not None:
            return self.lengths
        if self.keep is not None:
            return self.keep.sum(-1)
        return torch.full((1,), self.S, dtype=torch.int64, device=self.key_position.device)

    def item(self, index: int) -> "Where":
        """The same for one item of the batch, as a batch of one."""

        def one(x: Tensor) -> Tensor:
            return x if x.dim() < 2 or x.shape[0] == 1 else x[index : index + 1]

        def some(x: Tensor | None) -> Tensor | None:
            return None if x is None else one(x)

        def counted(x: Tensor | None) -> Tensor | None:
            return x if x is None or x.shape[0] == 1 else x[index : index + 1]

        return replace(
            self,
            query_position=one(self.query_position),
            key_position=one(self.key_position),
            keep=some(self.keep),
            query_keep=some(self.query_keep),
            query_document=some(self.query_document),
            key_document=some(self.key_document),
            lengths=counted(self.lengths),
            count=counted(self.count),
        )

    def rows(self, start: int, stop: int) -> "Where":
        """The same for queries `start` to `stop` alone."""

        def some(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[..., start:stop]

        return replace(
            self,
            query_position=self.query_position[..., start:stop],
            query_keep=some(self.query_keep),
            query_document=some(self.query_document),
            aligned=self.aligned and stop == self.T,
        )

    def reversed(self) -> "Where":
        """The same with the last query first."""

        def turned(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.flip(-1)

        return replace(
            self,
            query_position=self.query_position.flip(-1),
            query_keep=turned(self.query_keep),
            query_document=turned(self.query_document),
            aligned=False,
        )

    def columns(self, start: int, stop: int) -> "Where":
        """The same for keys `start` to `stop` alone; `count` holds how many real keys there were."""

        def some(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[..., start:stop]

        return replace(
            self,
            key_position=self.key_position[..., start:stop],
            keep=some(self.keep),
            key_document=some(self.key_document),
            lengths=None,
            aligned=False,
            count=self.real_lengths,
        )

    @property
    def among_keys(self) -> "Where":
        """The same keys meeting one another: every key is a query too."""
        return Where(
            self.key_position,
            self.key_position,
            self.keep,
            self.keep,
            self.key_document,
            self.key_document,
            self.lengths,
            self.aligned,
            self.count,
        )
