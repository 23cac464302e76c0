"""Preprocessing: texts to batches of token ids, the same way while training and ever after."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from attnkit.data.batches import collate, pack, padded_width
from attnkit.data.encoding import Ids, Limits, encoded
from attnkit.data.tokens import TextTokenizer, from_json
from attnkit.errors import UsageError
from attnkit.files import write_text
from attnkit.kernels.packed import Pieces

__all__ = ["Ids", "Preprocessing"]


@dataclass(frozen=True)
class Preprocessing:
    """A fitted tokenizer and the limits on length; hierarchical ones give a list of sentences for a text."""

    tokenizer: TextTokenizer
    max_tokens: int
    hierarchical: bool = False
    max_sentences: int = 0
    max_sentence_tokens: int = 0

    def encode(self, texts: Sequence[str], pairs: Sequence[str | None] | None = None) -> list[Ids]:
        """Token ids of each text (with its pair behind a separator), cut to the limits."""
        return encoded(self.tokenizer, Limits(**self.limits()), texts, pairs)

    def lengths(self, items: Sequence[Ids]) -> list[int]:
        """What each item costs: its tokens, or its sentences where hierarchical."""
        return [len(item) for item in items]

    def collate(self, items: Sequence[Ids]) -> tuple[Tensor, Tensor]:
        """(ids, keep) as (B, T), or (B, N, T) where hierarchical; keep is True on real tokens."""
        if not self.hierarchical:
            return collate(items)  # type: ignore[arg-type]
        sentences = padded_width(max((len(document) for document in items), default=0))
        lengths = (len(sentence) for document in items for sentence in document)  # type: ignore[arg-type]
        tokens = padded_width(max(lengths, default=0))
        ids_BNT = torch.zeros(len(items), sentences, tokens, dtype=torch.int64)
        keep_BNT = torch.zeros(len(items), sentences, tokens, dtype=torch.bool)
        for row, document in enumerate(items):
            for number, sentence in enumerate(document):
                ids_BNT[row, number, : len(sentence)] = torch.tensor(sentence)  # type: ignore[arg-type]
                keep_BNT[row, number, : len(sentence)] = True  # type: ignore[arg-type]
        return ids_BNT, keep_BNT

    def pack(self, items: Sequence[Ids]) -> tuple[Tensor, Pieces]:
        """(ids, pieces): the texts end to end as (1, N), and where each begins and ends; not for hierarchical ones."""
        ids_1N, lengths = pack(items)  # type: ignore[arg-type]
        return ids_1N, Pieces(lengths, ids_1N.shape[1] - sum(lengths))

    def save(self, folder: Path) -> None:
        """Write tokenizer.json into `folder`; the limits go into model.json."""
        write_text(folder / "tokenizer.json", self.tokenizer.to_json())

    def limits(self) -> dict[str, Any]:
        """The limits as plain values."""
        return {
            "max_tokens": self.max_tokens,
            "hierarchical": self.hierarchical,
            "max_sentences": self.max_sentences,
            "max_sentence_tokens": self.max_sentence_tokens,
        }

    @classmethod
    def load(cls, folder: Path, limits: dict[str, Any]) -> "Preprocessing":
        """The preprocessing saved in `folder`.

        Raises: UsageError where its tokenizer is missing or damaged.
        """
        path = folder / "tokenizer.json"
        try:
            tokenizer = from_json(path.read_text("utf-8"))
        except FileNotFoundError:
            raise UsageError(f"{path} is missing; copy the whole run directory again") from None
        except (OSError, ValueError) as error:
            raise UsageError(f"{path} is damaged ({error}); copy the run directory again") from None
        return cls(tokenizer, **limits)
