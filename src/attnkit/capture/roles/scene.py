"""Scene: where each query of a call stands among the keys, and what tokens stand there."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from attnkit.attention.where import Where
from attnkit.capture.captured import Kind
from attnkit.capture.roles.delimiters import ends_segment, is_delimiter
from attnkit.layers.taps import Seen

# How many tokens to each side are near.
NEAR_TOKENS = 8
_NOWHERE = torch.iinfo(torch.int64).min // 2


@dataclass(frozen=True, eq=False)
class Scene:
    """What a call is about, beside its numbers.

    `near_BTN` holds the index of the key at each of the positions i_t - NEAR_TOKENS .. i_t + NEAR_TOKENS, -1 where
    there is none; None in cross-attention and pooling, whose queries have no place among the keys. `real_BT` are the
    queries that are no padding, `first_BT` the first real key of the query's
    document, -1 where there is none. With tokens: `id_BS` numbers them, the same token the
    same number (-1 for padding), `before_BS` is the number of the token before, `asking_BT` that of the query's own
    token (-2 where there is none); `delimiter_BS`; `segment_BS`, the running number of the piece of
    text, and `moved_BS` that of pieces with their borders in the middle of these. `sorted` keeps
    what keys are told by in order, by item and relation, once it was needed.
    """

    kind: Kind
    real_BT: Tensor
    kept_BS: Tensor
    first_BT: Tensor
    near_BTN: Tensor | None = None
    tokens: list[list[str]] | None = None
    id_BS: Tensor | None = None
    before_BS: Tensor | None = None
    asking_BT: Tensor | None = None
    delimiter_BS: Tensor | None = None
    segment_BS: Tensor | None = None
    moved_BS: Tensor | None = None
    query_tokens: list[list[str]] | None = None
    sorted: dict[tuple[int, str], tuple[Tensor, Tensor]] = field(default_factory=dict)

    @property
    def own_BT(self) -> Tensor | None:
        """The key that is the query's own token; -1 where there is none."""
        return None if self.near_BTN is None else self.near_BTN[..., NEAR_TOKENS]

    @staticmethod
    def of(
        seen: Seen,
        tokens: Sequence[Sequence[str]] | None,
        kind: Kind,
        query_tokens: Sequence[Sequence[str]] | None = None,
    ) -> "Scene":
        """The scene of a call; `tokens` are those of the keys, an item each, with padding or without.

        Raises: ValueError where the tokens are not as many as the keys, all or the real ones.
        """
        where = seen.where
        B, T, S = seen.q_BHTD.shape[0], where.T, where.S
        device = seen.q_BHTD.device
        everything = torch.ones(B, S, dtype=torch.bool, device=device)
        kept = everything if where.keep is None else where.keep.expand(B, S)
        near = _neighbours(where, kept, T) if kind == "self" else None
        real = _real_queries(where, kept, kind)
        first = _first(where, kept)
        bare = Scene(kind, real, kept, first, near)
        if tokens is None:
            return bare
        placed = [_placed(list(own), kept[item], item) for item, own in enumerate(_counted(tokens, B))]
        asked = None if query_tokens is None else [list(own) for own in _counted(query_tokens, B)]
        numbers: dict[str, int] = {}
        ids = torch.tensor(
            [[-1 if token is None else numbers.setdefault(token, len(numbers)) for token in own] for own in placed],
            dtype=torch.int64,
            device=device,
        ).view(B, S)
        delimiter = torch.tensor([[bool(token) and is_delimiter(token or "") for token in own] for own in placed])
        ends = torch.tensor([[bool(token) and ends_segment(token or "") for token in own] for own in placed])
        delimiter, ends = delimiter.to(device).view(B, S), ends.to(device).view(B, S)
        begins = ends.roll(1, -1)
        begins[:, 0] = False
        named = [["" if token is None else token for token in own] for own in placed]
        before = asking = None
        if near is not None:
            own = near[..., NEAR_TOKENS]
            asking = _at(ids, own, -2)
            before = _at(ids, _neighbours(where.among_keys, kept, S)[..., NEAR_TOKENS - 1], -1)
        segment = begins.cumsum(-1)
        moved = moved_borders(segment, kept)
        return Scene(kind, real, kept, first, near, named, ids, before, asking, delimiter, segment, moved, asked)

    @property
    def firsts_BS(self) -> Tensor:
        """True at the first real key, of each document where there are several."""
        firsts = torch.zeros(
            self.kept_BS.shape[0], self.kept_BS.shape[1] + 1, dtype=torch.bool, device=self.kept_BS.device
        )
        return firsts.scatter_(-1, self.first_BT % firsts.shape[1], True)[:, :-1]

    def query_token(self, item: int, query: int) -> str | None:
        """The token that asks, where it is known."""
        if self.query_tokens is not None and query < len(self.query_tokens[item]):
            return self.query_tokens[item][query]
        own = self.own_BT
        if own is None or self.tokens is None or int(own[item, query]) < 0:
            return None
        return self.tokens[item][int(own[item, query])]


def moved_borders(segment_BS: Tensor, kept_BS: Tensor) -> Tensor:
    """Pieces that begin and end in the middle of those of the text: each half goes with the half beside it."""
    real = kept_BS.to(torch.int64)
    size = torch.zeros_like(segment_BS).scatter_add_(-1, segment_BS, real)
    start = size.cumsum(-1) - size
    within = real.cumsum(-1) - 1 - start.gather(-1, segment_BS)
    return segment_BS + (2 * within >= size.gather(-1, segment_BS)).to(torch.int64)


def _counted(tokens: Sequence[Sequence[str]], B: int) -> Sequence[Sequence[str]]:
    if len(tokens) != B or any(isinstance(own, str) for own in tokens):
        raise ValueError(f"tokens must be a list of {B} lists of strings, one an item; got {len(tokens)} of them")
    return tokens


def _placed(tokens: list[str], kept_S: Tensor, item: int) -> list[str | None]:
    """The tokens at their keys, None at padding."""
    real = kept_S.nonzero().squeeze(-1).tolist()
    if len(tokens) == len(kept_S):
        there = set(real)
        return [token if index in there else None for index, token in enumerate(tokens)]
    if len(tokens) != len(real):
        raise ValueError(
            f"item {item} has {len(kept_S)} keys, {len(real)} of them real, and {len(tokens)} tokens; "
            "give a token for each key or for each real one"
        )
    placed: list[str | None] = [None] * len(kept_S)
    for index, token in zip(real, tokens, strict=True):
        placed[index] = token
    return placed


def _at(x_BS: Tensor, index_BL: Tensor, otherwise: int) -> Tensor:
    return x_BS.gather(-1, index_BL.clamp(min=0)).masked_fill(index_BL < 0, otherwise)


def _first(where: Where, kept_BS: Tensor) -> Tensor:
    """Index of the first real key of each query's document, (B, T)."""
    if where.query_document is None or where.key_document is None:
        first = torch.where(kept_BS.any(-1), kept_BS.to(torch.int64).argmax(-1), -1)
        return first[:, None].expand(-1, where.T)
    found = torch.full((kept_BS.shape[0], where.T), -1, device=kept_BS.device)
    of_query, of_key = (x if x.dim() == 2 else x[None] for x in (where.query_document, where.key_document))
    of_query, of_key = of_query.expand_as(found), of_key.expand_as(kept_BS)
    for item, kept in enumerate(kept_BS):
        # Documents are few beside tokens.
        for document in of_key[item, kept].unique():
            found[item, of_query[item] == document] = (kept & (of_key[item] == document)).to(torch.int64).argmax()
    return found


def _real_queries(where: Where, kept_BS: Tensor, kind: Kind) -> Tensor:
    B, T = kept_BS.shape[0], where.T
    if where.query_keep is not None:
        return where.query_keep.expand(B, T)
    if kind == "self" and (_same_places(where) or (where.aligned and T < where.S)):
        return kept_BS[:, where.S - T :]
    return torch.ones(B, T, dtype=torch.bool, device=kept_BS.device)


def _same_places(where: Where) -> bool:
    """True where the queries are the keys' own tokens, one for one."""
    return where.T == where.S and bool((where.query_position == where.key_position).all())


def _neighbours(where: Where, kept_BS: Tensor, T: int) -> Tensor:
    """Index of the real key at each position near each query's, (B, T, 2 NEAR_TOKENS + 1); -1 where there is none."""
    B, S = kept_BS.shape
    device = kept_BS.device
    asked = (where.query_position if where.query_position.dim() == 2 else where.query_position[None]).expand(B, T)
    held = (where.key_position if where.key_position.dim() == 2 else where.key_position[None]).expand(B, S)
    step = torch.arange(-NEAR_TOKENS, NEAR_TOKENS + 1, device=device)
    own = torch.arange(T, device=device) + (S - T)
    # Padding stands nowhere. Where two real keys stand at one position (texts end to end), the index tells them apart.
    position, order = held.masked_fill(~kept_BS, _NOWHERE).sort(dim=-1, stable=True)
    twice = ((position[:, 1:] == position[:, :-1]) & (position[:, 1:] != _NOWHERE)).any(-1)
    wanted = (asked[..., None] + step).flatten(1)
    place = torch.searchsorted(position, wanted).clamp(max=S - 1)
    by_position = order.gather(-1, place).masked_fill(position.gather(-1, place) != wanted, -1).view(B, T, -1)
    index = (own[:, None] + step).expand(B, T, -1)
    outside = (index < 0) | (index >= S)
    there = _at(kept_BS.to(torch.int64), index.clamp(0, S - 1).flatten(1), 0).view(B, T, -1).bool() & ~outside
    by_index = index.masked_fill(~there, -1)
    return torch.where(twice[:, None, None], by_index, by_position)
