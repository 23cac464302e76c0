"""A fitted tokenizer: texts to ids and back, saved as one piece of JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tokenizers import Tokenizer

from attnkit.errors import UsageError

PADDING, UNKNOWN, SEPARATOR = 0, 1, 2
# No text can produce these: every pre-tokenizer here parts at the space, and one character is never as long.
SPECIAL = ("[ padding ]", "[ unknown ]", "[ separator ]")
# Those of a checkpoint have two more: what begins a text, and what hides a token.
BEGIN, MASK = 3, 4
SPECIAL_OF_CHECKPOINTS = (*SPECIAL, "[ begin ]", "[ mask ]")
_SHOWN = dict(zip(SPECIAL_OF_CHECKPOINTS, ("[PAD]", "[UNK]", "[SEP]", "[CLS]", "[MASK]"), strict=True))
_BATCH = 4096


@dataclass(frozen=True)
class Frame:
    """The special ids that stand around a text, and between the texts of a pair."""

    before: tuple[int, ...] = ()
    between: tuple[int, ...] = (SEPARATOR,)
    behind: tuple[int, ...] = ()

    @property
    def single(self) -> int:
        """How many stand around one text."""
        return len(self.before) + len(self.behind)

    @property
    def double(self) -> int:
        """How many stand around and between two texts."""
        return self.single + len(self.between)


class TextTokenizer:
    """Turns texts into ids: 0 is padding, 1 an unknown piece, 2 the separator of a pair; the rest is the vocabulary.

    `kind` is "word", "bpe" or "chars", or "wordpiece" where it came with a checkpoint; `frame` holds the ids that stand
    around every text. The same text always gives the same ids, whatever stands beside it.
    """

    def __init__(self, kind: str, inner: Tokenizer, frame: Frame | None = None) -> None:
        self.kind = kind
        self.frame = Frame() if frame is None else frame
        self._inner = inner

    @property
    def size(self) -> int:
        """The number of ids, the three special ones included."""
        return int(self._inner.get_vocab_size())

    def encode_all(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """The ids of each text, cut to `max_tokens` with the frame around them; an empty text has the frame alone."""
        _check_room(max_tokens, max(1, self.frame.single))
        room = None if max_tokens is None else max_tokens - self.frame.single
        before, behind = self.frame.before, self.frame.behind
        return [[*before, *ids[:room], *behind] for ids in self._plain(texts)]

    def _plain(self, texts: Sequence[str]) -> list[list[int]]:
        found: list[list[int]] = []
        for start in range(0, len(texts), _BATCH):
            encoded = self._inner.encode_batch_fast(list(texts[start : start + _BATCH]), add_special_tokens=False)
            found.extend(entry.ids for entry in encoded)
        return found

    def encode_pair(self, texts: Sequence[str], pairs: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """The ids of each text, the separator, and the ids of its pair; the longer one is cut first.

        Raises: ValueError where the two have different lengths or `max_tokens` leaves no room for both.
        """
        if len(texts) != len(pairs):
            raise ValueError(
                f"encode_pair needs a pair for each text and got {len(texts)} and {len(pairs)}; match them."
            )
        frame = self.frame
        _check_room(max_tokens, frame.double + 2)
        room = None if max_tokens is None else max_tokens - frame.double
        rows = (
            _cut(*both, room, framed=frame.single > 0)
            for both in zip(self._plain(texts), self._plain(pairs), strict=True)
        )
        return [[*frame.before, *first, *frame.between, *second, *frame.behind] for first, second in rows]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The written form of each id, for people to read."""
        return [self._written(index) for index in ids]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each of its tokens stands: first character and one past the last; nowhere, of a frame."""
        inside = [(int(start), int(end)) for start, end in self._inner.encode(text, add_special_tokens=False).offsets]
        return [(0, 0)] * len(self.frame.before) + inside + [(len(text), len(text))] * len(self.frame.behind)

    def to_json(self) -> str:
        """Everything the tokenizer is, as JSON."""
        plain = {"kind": self.kind, "tokenizer": json.loads(self._inner.to_str())}
        if self.frame != Frame():
            plain["frame"] = asdict(self.frame)
        return json.dumps(plain, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "TextTokenizer":
        """The tokenizer of a JSON text that `to_json` gave.

        Raises: UsageError where it is anything else.
        """
        try:
            plain: Any = json.loads(text)
            kind, inner = plain["kind"], Tokenizer.from_str(json.dumps(plain["tokenizer"]))
            held = {name: tuple(int(one) for one in ids) for name, ids in plain.get("frame", {}).items()}
            frame = Frame(**held)
        except Exception as error:
            # The library raises a bare Exception for a tokenizer it cannot read.
            reason = (str(error).splitlines() or [""])[0][:100]
            raise UsageError(f"This is not a tokenizer that attnkit wrote ({reason}); write it again.") from None
        if not isinstance(kind, str) or [inner.token_to_id(name) for name in SPECIAL] != [PADDING, UNKNOWN, SEPARATOR]:
            raise UsageError("This tokenizer lacks attnkit's special ids 0 to 2; write it again.")
        return cls(kind, inner, frame)

    def _written(self, index: int) -> str:
        token = self._inner.id_to_token(index)
        if token is None:
            raise ValueError(f"There is no token {index} in a vocabulary of {self.size}; use ids of this tokenizer.")
        if token in _SHOWN:
            return _SHOWN[token]
        return str(self._inner.decode([index])) if self.kind == "bpe" else str(token)


def without_added_tokens(inner: Tokenizer) -> Tokenizer:
    """The same tokenizer with no added tokens, so that a text that spells a special token stays a text."""
    plain = json.loads(inner.to_str())
    plain["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(plain))


def _cut(first: list[int], second: list[int], room: int | None, framed: bool) -> tuple[list[int], list[int]]:
    if room is None:
        return first, second
    # The shorter keeps what it needs, up to half; the longer takes what remains. Of an odd room the first gets the
    # larger half, except where checkpoints were trained with the other rule.
    half = room // 2 if framed and len(first) <= len(second) else (room + 1) // 2
    keep_first = min(len(first), max(room - len(second), half))
    return first[:keep_first], second[: room - keep_first]


def _check_room(max_tokens: int | None, least: int) -> None:
    if max_tokens is not None and max_tokens < least:
        raise ValueError(f"max_tokens must be at least {least} and is {max_tokens}; give a larger limit.")
