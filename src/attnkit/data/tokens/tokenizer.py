"""A fitted tokenizer: texts to ids and back, saved as one piece of JSON."""

import json
from collections.abc import Sequence
from typing import Any

from tokenizers import Tokenizer

from attnkit.errors import UsageError

PADDING, UNKNOWN, SEPARATOR = 0, 1, 2
# No text can produce these: every pre-tokenizer here parts at the space, and one character is never as long.
SPECIAL = ("[ padding ]", "[ unknown ]", "[ separator ]")
_SHOWN = ("[PAD]", "[UNK]", "[SEP]")
_BATCH = 4096


class TextTokenizer:
    """Turns texts into ids: 0 is padding, 1 an unknown piece, 2 the separator of a pair; the rest is the vocabulary.

    `kind` is "word", "bpe" or "chars". The same text always gives the same ids, whatever stands beside it.
    """

    def __init__(self, kind: str, inner: Tokenizer) -> None:
        self.kind = kind
        self._inner = inner

    @property
    def size(self) -> int:
        """The number of ids, the three special ones included."""
        return int(self._inner.get_vocab_size())

    def encode_all(self, texts: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """The ids of each text, the first `max_tokens` of them; an empty text has none."""
        _check_room(max_tokens, 1)
        found: list[list[int]] = []
        for start in range(0, len(texts), _BATCH):
            encoded = self._inner.encode_batch_fast(list(texts[start : start + _BATCH]), add_special_tokens=False)
            found.extend(entry.ids[:max_tokens] for entry in encoded)
        return found

    def encode_pair(self, texts: Sequence[str], pairs: Sequence[str], max_tokens: int | None = None) -> list[list[int]]:
        """The ids of each text, the separator, and the ids of its pair; the longer one is cut first.

        Raises: ValueError where the two have different lengths or `max_tokens` leaves no room for both.
        """
        if len(texts) != len(pairs):
            raise ValueError(
                f"encode_pair needs a pair for each text and got {len(texts)} and {len(pairs)}; match them."
            )
        _check_room(max_tokens, 3)
        rows = zip(self.encode_all(texts), self.encode_all(pairs), strict=True)
        return [_paired(first, second, max_tokens) for first, second in rows]

    def tokens(self, ids: Sequence[int]) -> list[str]:
        """The written form of each id, for people to read."""
        return [_SHOWN[index] if index < len(_SHOWN) else self._written(index) for index in ids]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Where in the text each of its tokens stands: first character and one past the last."""
        return [(int(start), int(end)) for start, end in self._inner.encode(text, add_special_tokens=False).offsets]

    def to_json(self) -> str:
        """Everything the tokenizer is, as JSON."""
        return json.dumps({"kind": self.kind, "tokenizer": json.loads(self._inner.to_str())}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "TextTokenizer":
        """The tokenizer of a JSON text that `to_json` gave.

        Raises: UsageError where it is anything else.
        """
        try:
            plain: Any = json.loads(text)
            kind, inner = plain["kind"], Tokenizer.from_str(json.dumps(plain["tokenizer"]))
        except Exception as error:
            # The library raises a bare Exception for a tokenizer it cannot read.
            reason = (str(error).splitlines() or [""])[0][:100]
            raise UsageError(f"This is not a tokenizer that attnkit wrote ({reason}); write it again.") from None
        if not isinstance(kind, str) or [inner.token_to_id(name) for name in SPECIAL] != [PADDING, UNKNOWN, SEPARATOR]:
            raise UsageError("This tokenizer lacks attnkit's special ids 0 to 2; write it again.")
        return cls(kind, inner)

    def _written(self, index: int) -> str:
        token = self._inner.id_to_token(index)
        if token is None:
            raise ValueError(f"There is no token {index} in a vocabulary of {self.size}; use ids of this tokenizer.")
        return str(self._inner.decode([index])) if self.kind == "bpe" else str(token)


def without_added_tokens(inner: Tokenizer) -> Tokenizer:
    """The same tokenizer with no added tokens, so that a text that spells a special token stays a text."""
    plain = json.loads(inner.to_str())
    plain["added_tokens"] = []
    return Tokenizer.from_str(json.dumps(plain))


def _paired(first: list[int], second: list[int], max_tokens: int | None) -> list[int]:
    if max_tokens is None:
        return [*first, SEPARATOR, *second]
    room = max_tokens - 1
    # The shorter keeps what it needs, up to half; the longer takes what remains.
    keep_first = min(len(first), max(room - len(second), (room + 1) // 2))
    return [*first[:keep_first], SEPARATOR, *second[: room - keep_first]]


def _check_room(max_tokens: int | None, least: int) -> None:
    if max_tokens is not None and max_tokens < least:
        raise ValueError(f"max_tokens must be at least {least} and is {max_tokens}; give a larger limit.")
