"""What another library's attention was asked for, in our words: an operator, where, and its parameters."""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params
from attnkit.attention.pattern import Causal, Full
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.where import Where
from attnkit.layers.model_mask import Meeting, placed, recognize
from attnkit.layers.model_operator import Wishes, asked


@dataclass(frozen=True, eq=False)
class Call:
    """softmax(scaling q . k, capped, + bias + mask) v, as torch or transformers was called.

    q_BHTD, k_BGSD, v_BGSE; `mask` of any shape that broadcasts to (B, H, T, S), boolean (True = keep) or added;
    `causal` lets query t meet keys s <= t, from the top left.
    """

    q_BHTD: Tensor
    k_BGSD: Tensor
    v_BGSE: Tensor
    out_BHTE: Tensor
    mask: Tensor | None = None
    causal: bool = False
    wishes: Wishes = field(default_factory=Wishes)

    @property
    def T(self) -> int:
        """Number of queries."""
        return self.q_BHTD.shape[2]

    @property
    def S(self) -> int:
        """Number of keys."""
        return self.k_BGSD.shape[2]

    def first_keys(self, count: int) -> "Call":
        """The same without the keys behind the first `count`, as it is where those are hidden from all anyway."""
        if count >= self.S:
            return self
        if self.mask is None:
            if not (self.causal and count >= self.T):
                return self
        elif self.mask.shape[-1] != self.S or bool(_visible(self.mask[..., count:]).any()):
            return self
        mask, bias = (None if x is None else x[..., :count] for x in (self.mask, self.wishes.bias))
        return replace(
            self,
            k_BGSD=self.k_BGSD[:, :, :count],
            v_BGSE=self.v_BGSE[:, :, :count],
            mask=mask,
            wishes=replace(self.wishes, bias=bias),
        )


@dataclass(frozen=True, eq=False)
class Before:
    """What is known of a layer from its earlier steps: its rule, and which of `tokens` keys are real (B, S)."""

    pattern: Pattern
    keep_BS: Tensor | None
    tokens: int


@dataclass(frozen=True, eq=False)
class Asked:
    """The operator that a call came to."""

    spec: Attention
    where: Where
    params: Params
    pattern: Pattern
    recognized: bool


def operator_of(
    call: Call,
    *,
    own_text: bool,
    first: int = 0,
    forgotten: int = 0,
    before: Before | None = None,
    query_keep: Tensor | None = None,
) -> Asked:
    """The operator whose map on `where` is the call's, exactly.

    A mask that a pattern says becomes that pattern and padding; any other is added to the scores. `own_text` says that
    queries are keys as well, so that hidden keys are hidden queries; `first` is the position of the first query, and
    `forgotten` that of the first key. `query_keep` (B, T) is what is known of the queries of another text.

    Raises: ValueError where what the call wishes has no place in an operator.
    """
    place = placed(call.T, call.S, first, forgotten, None, call.q_BHTD.device)
    meeting = _meeting(call, place, before)
    bias = _added(call, meeting is not None)
    if bias is not None and meeting is not None and meeting.where.query_position.dim() != 1:
        # Positions that begin anew with each document do not say which number of the bias is a pair's.
        meeting, bias = None, _added(call, False)
    pattern, where = (Full(), place) if meeting is None else (meeting.pattern, meeting.where)
    own = slice(first - forgotten, first - forgotten + call.T)
    if type(pattern) is Full and own_text and call.T == 1 and own.stop == call.S:
        # One query at the end of the keys sees all of them under either; the whole text is causal.
        pattern = Causal()
    sees = None
    if meeting is None and call.mask is not None:
        visible = _visible(call.mask).expand(-1, -1, call.T, call.S).any(1)
        seen, sees = visible.any(-2), visible.any(-1)
        if before is None and not bool(seen.all()):
            where = replace(where, keep=seen)
    if own_text and query_keep is None and where.keep is not None:
        query_keep = where.keep[:, own]
    if sees is not None and not bool(sees.all()):
        # What is added hides pairs, and not a row of nothing but hidden ones.
        query_keep = sees if query_keep is None else query_keep & sees
    if query_keep is not None:
        where = replace(where, query_keep=query_keep)
    wishes = replace(call.wishes, bias=None)
    if bias is not None:
        if bool(bias.isneginf().any()):
            # So it is in 16 bits where a bias is added to the lowest number; nothing times infinity is no number.
            bias = bias.clamp(min=torch.finfo(bias.dtype).min)
        origin = torch.cat([where.query_position[:1], where.key_position[:1]])
        wishes = replace(wishes, bias=bias.expand(-1, call.q_BHTD.shape[1], call.T, call.S), origin=origin)
    spec, params = asked(Pairwise(pattern=pattern), {}, wishes, call.q_BHTD.shape[-1])
    return Asked(spec, where, params, pattern, meeting is not None)


def _visible(mask: Tensor) -> Tensor:
    """True where a mask lets a pair meet."""
    return mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2


def _meeting(call: Call, place: Where, before: Before | None) -> Meeting | None:
    """The pattern and places that say which pairs meet; None where none does."""
    T, S, device = call.T, call.S, call.q_BHTD.device
    if call.mask is None and before is None:
        if not call.causal:
            return Meeting(Full(), place)
        if torch.equal(place.query_position[:1], place.key_position[:1]):
            return Meeting(Causal(), place)
    if call.mask is None:
        rows, columns = torch.arange(T, device=device)[:, None], torch.arange(S, device=device)
        allowed = (columns <= rows if call.causal else torch.ones(T, S, dtype=torch.bool, device=device))[None]
    else:
        visible = _visible(call.mask).expand(-1, -1, T, S)
        if call.causal or (visible.shape[1] > 1 and not bool((visible == visible[:, :1]).all())):
            return None
        allowed = visible[:, 0]
    return _as_before(allowed, place, before) or recognize(allowed, place)


def _as_before(allowed_BTS: Tensor, place: Where, before: Before | None) -> Meeting | None:
    """The rule of the earlier steps with one more, where it still says which pairs meet.

    One query alone would show too little: keys beyond its window would pass for padding.
    """
    if before is None:
        return None
    B, T, S = allowed_BTS.shape
    own, old = allowed_BTS[:, :, S - T :].any(-2), before.keep_BS
    old = own.new_ones(1, before.tokens) if old is None else old
    B = max(B, old.shape[0])
    real = torch.cat([old.expand(B, -1), own.expand(B, -1)], dim=-1)[:, -S:]
    if real.shape[-1] != S:
        return None
    meeting = Meeting(before.pattern, place if bool(real.all()) else replace(place, keep=real))
    same = torch.equal(meeting.allowed_BTS().expand(B, T, S), allowed_BTS.expand(B, T, S))
    return meeting if same else None


def _added(call: Call, recognized: bool) -> Tensor | None:
    """What is added to the scores beside the pattern, (B or 1, 1 or H, T, S); None where nothing is."""
    bias, mask = call.wishes.bias, call.mask
    if bias is not None and not bool(bias.any()):
        # A layer of T5 that has no bias of its own adds zeros.
        bias = None
    if mask is None or (recognized and mask.dtype == torch.bool):
        return bias
    visible = _visible(mask)
    if recognized and bool(((mask == 0) | ~visible).all()):
        return bias
    kind = mask.dtype if mask.dtype.is_floating_point else call.q_BHTD.dtype
    numbers = mask if mask.dtype.is_floating_point else mask.new_zeros((), dtype=kind)
    hidden = 0.0 if recognized else torch.finfo(kind).min
    own = torch.where(visible, numbers, hidden)
    if call.causal:
        later = torch.ones(call.T, call.S, dtype=torch.bool, device=mask.device).triu(1)
        own = own.masked_fill(later, torch.finfo(kind).min)
    return own if bias is None else own + bias
