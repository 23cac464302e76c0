"""Draws: the sizes and tensors the laws are tried on, all from one generator."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnkit.attention.part import Dims
from attnkit.attention.where import Where

Size = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Case:
    """One drawn set of queries, keys, values, and who may meet whom."""

    q: Tensor
    k: Tensor
    v: Tensor
    where: Where

    @property
    def size(self) -> str:
        """T and S as a sentence says them."""
        return f"T={self.where.T}, S={self.where.S}"

    def keeping(self, keep: Tensor) -> "Case":
        """The same tensors with only the keys of `keep` (B, S) real."""
        return replace(self, where=replace(self.where, keep=keep))

    def item(self, index: int) -> "Case":
        """One item of the batch, alone."""

        def own(x: Tensor | None) -> Tensor | None:
            return x if x is None or x.dim() == 1 else x[index : index + 1]

        w = self.where
        q, k, v = (x[index : index + 1] for x in (self.q, self.k, self.v))
        lengths = None if w.lengths is None else w.lengths[index : index + 1]
        masks = own(w.keep), own(w.query_keep), own(w.query_document), own(w.key_document)
        return Case(q, k, v, Where(w.query_position, w.key_position, *masks, lengths))

    def first(self, queries: int, keys: int) -> "Case":
        """The first queries and keys alone, each where it stood."""

        def cut(x: Tensor | None, length: int) -> Tensor | None:
            return None if x is None else x[..., :length]

        w = self.where
        query_position, key_position = w.query_position[..., :queries], w.key_position[..., :keys]
        masks = cut(w.keep, keys), cut(w.query_keep, queries)
        documents = cut(w.query_document, queries), cut(w.key_document, keys)
        where = Where(query_position, key_position, *masks, *documents)
        return Case(self.q[..., :queries, :], self.k[..., :keys, :], self.v[..., :keys, :], where)


def draw_sizes(generator: torch.Generator, longest: int) -> tuple[Size, ...]:
    """(T, S) pairs: one token, odd, more keys than queries, more queries than keys, one query, and the longest."""

    def between(low: int, high: int) -> int:
        return int(torch.randint(low, high + 1, (), generator=generator))

    odd, few = 2 * between(2, 4) + 1, between(2, 4)
    more = few + between(1, 5)
    return ((1, 1), (odd, odd), (few, more), (more, few), (1, odd), (longest, longest))


def draw_case(dims: Dims, size: Size, generator: torch.Generator, *, batch: int = 2, groups: int | None = None) -> Case:
    """Normal q, k and v in float64 with nothing masked; each item is cut into documents of its own length."""
    T, S = size

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    G = dims.heads if groups is None else groups
    q, k = normal(batch, dims.heads, T, dims.width), normal(batch, G, S, dims.width)
    v = normal(batch, G, S, dims.value_width)
    where = Where.of(T, S)
    piece = torch.arange(3, 3 + batch)[:, None]
    query_document, key_document = where.query_position // piece, where.key_position // piece
    return Case(q, k, v, replace(where, query_document=query_document, key_document=key_document))


def some_kept(generator: torch.Generator, batch: int, S: int) -> Tensor:
    """A mask (B, S) with holes anywhere and at least one key kept in each row."""
    keep = torch.rand(batch, S, generator=generator) < 0.6
    one = torch.randint(0, S, (batch,), generator=generator)
    return keep | (torch.arange(S) == one[:, None])
