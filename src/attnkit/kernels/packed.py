"""Packed texts: the tokens of many documents end to end, each attended on its own, with nothing padded."""

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, groupby

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.part import Params
from attnkit.attention.where import Where
from attnkit.kernels.attend import VASWANI, attend


@dataclass(frozen=True)
class Pieces:
    """How many tokens each document of a packed row has, in the order they stand in.

    Neighbors of one length are a run, and are computed side by side; documents sorted by length give few runs. `spare`
    tokens behind the last document belong to none: they attend to nothing and nothing reads them. They let rows come in
    sizes that repeat, so that memory freed by one step fits the next.

    Raises: ValueError where there is no document, or a number of tokens is negative.
    """

    lengths: tuple[int, ...]
    spare: int = 0

    def __post_init__(self) -> None:
        counts = isinstance(self.lengths, tuple) and all(type(one) is int and one >= 0 for one in self.lengths)
        if not counts or not self.lengths:
            raise ValueError(f"lengths must be a tuple of one whole number a document, 0 or more; got {self.lengths!r}")
        if self.spare < 0:
            raise ValueError(f"spare tokens must be at least 0; got {self.spare}")

    @cached_property
    def tokens(self) -> int:
        """N, all tokens together, spare ones included."""
        return sum(self.lengths) + self.spare

    @cached_property
    def runs(self) -> tuple[tuple[int, int], ...]:
        """(documents, tokens of each), one pair a run."""
        return tuple((len(list(run)), length) for length, run in groupby(self.lengths))

    @cached_property
    def place_N(self) -> Tensor:
        """Where each token stands in its document, from 0; spare tokens count on their own."""
        starts = list(accumulate(self.lengths, initial=0))
        counts = torch.tensor([*self.lengths, self.spare])
        return torch.arange(self.tokens) - torch.tensor(starts).repeat_interleave(counts)

    def cut(self, x_1NM: Tensor) -> list[Tensor]:
        """The tokens of each run, as views of shape (documents, tokens of each, ...), with the later axes of `x_1NM`.

        Raises: ValueError where `x_1NM` is not one row of N tokens.
        """
        if x_1NM.shape[0] != 1 or x_1NM.shape[1] != self.tokens:
            raise ValueError(
                f"these pieces are one packed row of {self.tokens} tokens; got {x_1NM.shape[0]} rows of "
                f"{x_1NM.shape[1]}"
            )
        rows = x_1NM[0].split([*(documents * length for documents, length in self.runs), self.spare])
        return [row.unflatten(0, run) for row, run in zip(rows[:-1], self.runs, strict=True)]


def attend_packed(
    q_1HND: Tensor,
    k_1GND: Tensor,
    v_1GNE: Tensor,
    spec: Attention = VASWANI,
    *,
    pieces: Pieces,
    params: Params | None = None,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
    kernel: str = "auto",
) -> Tensor:
    """out_1HNE: every document of `pieces` attends to itself alone, exactly as it would in a batch of its own.

    That holds for every operator, since each run of documents of one length is one call of `attend` on views, with the
    default positions 0 to n - 1. Documents without tokens are passed over; spare tokens get zeros.

    Raises: ValueError where the pieces do not fit the tensors, and as `attend` does.
    Cost: that of the operator on n x n pairs for each document, and one call a run.
    """
    q_runs, k_runs, v_runs = (pieces.cut(x.transpose(1, 2)) for x in (q_1HND, k_1GND, v_1GNE))
    mixed = []
    for (_, length), q, k, v in zip(pieces.runs, q_runs, k_runs, v_runs, strict=True):
        if length == 0:
            continue
        out = attend(
            q.transpose(1, 2),
            k.transpose(1, 2),
            v.transpose(1, 2),
            spec,
            params=params,
            dropout=dropout,
            generator=generator,
            kernel=kernel,
        )
        mixed.append(out.transpose(1, 2).flatten(0, 1))
    if pieces.spare or not mixed:
        mixed.append(v_1GNE.new_zeros(pieces.spare, q_1HND.shape[1], v_1GNE.shape[3]))
    return _joined(mixed).unsqueeze(0).transpose(1, 2)


def pool_packed(
    q_1HRD: Tensor,
    k_1GND: Tensor,
    v_1GNE: Tensor,
    spec: Attention = VASWANI,
    *,
    pieces: Pieces,
    params: Params | None = None,
    dropout: float = 0.0,
    generator: torch.Generator | None = None,
    kernel: str = "auto",
) -> Tensor:
    """out_BHRE: the same R queries read each of the B documents of `pieces`, standing at its last token.

    A document without tokens gives zeros.

    Raises: ValueError where the pieces do not fit the tensors, and as `attend` does.
    Cost: that of the operator on R x n pairs for each document, and one call a run.
    """
    R = q_1HRD.shape[2]
    cuts = [pieces.cut(x.transpose(1, 2)) for x in (k_1GND, v_1GNE)]
    found: list[Tensor] = []
    for (documents, length), k, v in zip(pieces.runs, *cuts, strict=True):
        if length == 0:
            found.append(v_1GNE.new_zeros(documents, q_1HRD.shape[1], R, v_1GNE.shape[3]))
            continue
        last = torch.full((R,), length - 1, device=k.device)
        out = attend(
            q_1HRD.expand(documents, -1, -1, -1),
            k.transpose(1, 2),
            v.transpose(1, 2),
            spec,
            where=Where.of(R, length, query_position=last, device=k.device),
            params=params,
            dropout=dropout,
            generator=generator,
            kernel=kernel,
        )
        found.append(out)
    return _joined(found)


def _joined(parts: list[Tensor]) -> Tensor:
    """One behind the other, in the least type of them: under autocast what was attended is lower than plain zeros."""
    least = min((part.dtype for part in parts), key=lambda dtype: dtype.itemsize)
    return torch.cat([part.to(least) for part in parts])
