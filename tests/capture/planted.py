"""Heads that do one thing, made by choosing their queries and keys."""

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Full
from attnkit.attention.where import Where
from attnkit.layers.taps import Seen

# The score of what a head is to read, beside 0 for the rest.
STRONG = 12.0
WIDTH = 160


def repeated_tokens(length: int, seed: int, period: int | None = None, piece: int = 22) -> list[str]:
    """Random words, then the same again: what induction heads are looked for with; a full stop every `piece` or so."""
    generator = torch.Generator().manual_seed(seed)
    period = period or length // 2
    words = [f"w{int(x)}" for x in torch.randperm(1000, generator=generator)[:period]]
    for place in range(piece // 2, period, piece):
        words[place] = "."
    return [words[index % period] for index in range(length)]


def _where_it_reads(role: str, tokens: list[str]) -> Tensor:
    """Scores (L, L) of a head with this role, where all tokens may meet."""
    L = len(tokens)
    t, s = torch.arange(L)[:, None], torch.arange(L)
    ends = torch.tensor([token == "." for token in tokens])
    piece = ends.roll(1).index_fill(0, torch.tensor([0]), False).cumsum(0)
    readers = {
        "previous token": s == t - 1,
        "next token": s == t + 1,
        "diagonal": s == t,
        "sink": (s == 0).expand(L, L),
        "stripe": ((s == 3) | (s == L // 4 + 1)).expand(L, L),
        "delimiter": (ends & (s > 0)).expand(L, L),
        "segment": piece[:, None] == piece,
    }
    if role == "local":
        return -(t - s).abs() / 2.0
    if role == "diffuse":
        return torch.zeros(L, L)
    return readers[role].float() * STRONG


def _by_token(role: str, tokens: list[str]) -> tuple[Tensor, Tensor]:
    """Queries and keys (L, WIDTH) that meet by what the tokens are: a random vector a word."""
    vectors = {}
    for token in ["", *tokens]:
        generator = torch.Generator().manual_seed(sum(map(ord, token)) * 7919 + len(vectors))
        vectors.setdefault(token, torch.randn(WIDTH, generator=generator) / WIDTH**0.5)
    q = torch.stack([vectors[token] for token in tokens])
    told = tokens if role == "duplicate token" else ["", *tokens[:-1]]
    k = torch.stack([vectors[token] for token in told])
    return q * STRONG * WIDTH**0.5, k


def head(role: str, tokens: list[str], seed: int = 0) -> tuple[Tensor, Tensor]:
    """Queries and keys (L, WIDTH) of a head with this role; "random" has none."""
    L = len(tokens)
    generator = torch.Generator().manual_seed(seed)
    if role == "random":
        return torch.randn(L, WIDTH, generator=generator), torch.randn(L, WIDTH, generator=generator)
    if role in ("induction", "duplicate token"):
        return _by_token(role, tokens)
    scores = _where_it_reads(role, tokens)
    q, k = torch.zeros(L, WIDTH), torch.zeros(L, WIDTH)
    q[:, :L], k[:, :L] = scores * WIDTH**0.5, torch.eye(L)
    return q, k


def planted(
    roles: list[str], texts: list[list[str]], *, causal: bool, left: bool = False, padding: int = 0, seed: int = 0
) -> Seen:
    """One call with a head for each of `roles`; texts of several lengths are padded with noise, and `padding` more."""
    B, S = len(texts), max(map(len, texts)) + padding
    generator = torch.Generator().manual_seed(99)
    q, k = (9.0 * torch.randn(B, len(roles), S, WIDTH, generator=generator) for _ in range(2))
    keep = torch.zeros(B, S, dtype=torch.bool)
    for item, tokens in enumerate(texts):
        real = slice(S - len(tokens), S) if left else slice(0, len(tokens))
        keep[item, real] = True
        for place, role in enumerate(roles):
            q[item, place, real], k[item, place, real] = head(role, tokens, seed + item)
    spec: Attention = Pairwise(pattern=Causal() if causal else Full())
    where = Where.of(S, S, keep=None if bool(keep.all()) else keep)
    v = torch.randn(B, len(roles), S, 4, generator=generator)
    return Seen("layer", spec, q, k, v, where, {}, None, torch.zeros_like(v))


def call(
    spec: Attention, q: Tensor, k: Tensor, where: Where | None = None, params: dict[str, Tensor] | None = None
) -> Seen:
    """A call with values and output that no role looks at."""
    where = Where.of(q.shape[2], k.shape[2]) if where is None else where
    return Seen("x", spec, q, k, k, where, params or {}, None, torch.zeros_like(q))
