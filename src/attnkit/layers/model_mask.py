"""What another library's mask says, in our words: a pattern, and where the tokens stand."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from attnkit.attention.pattern import Causal, Documents, Full, Window
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.where import Where


@dataclass(frozen=True, eq=False)
class Meeting:
    """The pairs that a model lets meet: a rule on positions, and the positions, padding and documents it reads."""

    pattern: Pattern
    where: Where

    def allowed_BTS(self) -> Tensor:
        """True where a pair may meet, broadcastable to (B, T, S)."""
        allowed = self.pattern.allowed(self.where.i, self.where.j, self.where)[:, 0]
        return allowed if self.where.keep is None else allowed & self.where.keep[:, None, :]


def remember(mask: Tensor, meeting: Meeting) -> None:
    """Let a mask carry the meeting it stands for, and which of its states that is."""
    mask.attnkit = meeting  # type: ignore[attr-defined]
    mask.attnkit_version = _version(mask)  # type: ignore[attr-defined]


def remembered(mask: Tensor) -> Meeting | None:
    """What a mask carries; None where it carries nothing, or was written to since.

    A mask made in inference mode does not count its changes: there what it carries is taken as it is.
    """
    meeting: Meeting | None = getattr(mask, "attnkit", None)
    return meeting if meeting is not None and mask.attnkit_version == _version(mask) else None  # type: ignore[attr-defined]


def _version(mask: Tensor) -> int | None:
    # A compiled program cannot ask, and what it traces is not edited between two layers.
    return None if torch.compiler.is_compiling() or mask.is_inference() else mask._version


def placed(
    T: int, S: int, first_query: int | Tensor, first_key: int, keep_BS: Tensor | None, device: torch.device | str
) -> Where:
    """Where queries begin at `first_query` and keys at `first_key`, aligned where that is sure."""
    if isinstance(first_query, int) and first_key == 0 and first_query == S - T:
        return Where.of(T, S, keep=keep_BS, device=device)
    queries, keys = torch.arange(T, device=device) + first_query, torch.arange(S, device=device) + first_key
    return Where.of(T, S, keep=keep_BS, query_position=queries, key_position=keys)


def as_boolean(mask: Tensor) -> Tensor:
    """A mask of one head's shape, (B, T, S), True = keep, from one that is boolean or is added to the scores.

    Raises: ValueError where heads differ, or where an added number is neither zero nor as good as minus infinity.
    """
    if mask.dim() != 4:
        raise ValueError(f"a model's mask must have the shape (B, 1, T, S); got {tuple(mask.shape)}")
    if mask.shape[1] > 1 and not bool((mask == mask[:, :1]).all()):
        raise ValueError(
            "this model's mask differs from head to head, which no pattern here says; use its own attention"
        )
    mask = mask[:, 0]
    if mask.dtype == torch.bool:
        return mask
    if not mask.dtype.is_floating_point:
        raise ValueError(f"a model's mask must be boolean or of floating point; got {mask.dtype}")
    allowed = mask == 0
    if not bool((allowed | (mask <= torch.finfo(mask.dtype).min / 2)).all()):
        raise ValueError(
            "this model's mask adds numbers to the scores; hand them in as position_bias, or use its own attention"
        )
    return allowed


def recognize(allowed_BTS: Tensor, where: Where) -> Meeting | None:
    """The meeting that lets exactly these pairs meet, positions as in `where`; None where none of ours does.

    Known are: all pairs, causal, a causal or symmetric window; each within packed documents too, found from where a
    token does not see the one before it; and padding keys under any of them.
    """
    keep: Tensor | None = allowed_BTS.any(-2)
    assert keep is not None
    if bool(keep.all()):
        keep = None
    for place in _placings(allowed_BTS, where, keep):
        for pattern in _patterns(allowed_BTS, place):
            packed = pattern if place.query_document is None else pattern & Documents()
            meeting = Meeting(packed, place)
            if torch.equal(meeting.allowed_BTS().expand_as(allowed_BTS), allowed_BTS):
                return meeting
    return None


def _placings(allowed_BTS: Tensor, where: Where, keep: Tensor | None) -> Iterator[Where]:
    T, S = where.T, where.S
    explicit = {} if where.aligned else {"query_position": where.query_position, "key_position": where.key_position}
    yield Where.of(T, S, keep=keep, device=allowed_BTS.device, **explicit)
    if T != S:
        return
    begins = torch.ones_like(allowed_BTS[:, 0])
    begins[:, 1:] = ~allowed_BTS.diagonal(-1, 1, 2)
    document, index = begins.cumsum(-1), torch.arange(T, device=allowed_BTS.device)
    position = index - torch.where(begins, index, 0).cummax(-1).values
    yield Where.of(
        T,
        S,
        keep=keep,
        query_position=position,
        key_position=position,
        query_document=document,
        key_document=document,
    )


def _patterns(allowed_BTS: Tensor, where: Where) -> Iterator[Pattern]:
    yield Full()
    yield Causal()
    distance = torch.where(allowed_BTS, (where.j - where.i)[:, 0], 0)
    ahead, back = int(distance.max()), -int(distance.min())
    if ahead == 0:
        yield Window(back + 1, causal=True)
    # Where few queries stand at an end, only one side of a symmetric window is seen whole.
    yield Window(2 * max(ahead, back) + 1)
