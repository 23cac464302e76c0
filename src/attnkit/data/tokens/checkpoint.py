"""The tokenizer of a checkpoint in Hugging Face's layout, with its special ids where all of ours stand."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from attnkit.data.tokens.tokenizer import BEGIN, MASK, SEPARATOR, SPECIAL_OF_CHECKPOINTS, Frame, TextTokenizer
from attnkit.errors import UsageError

# How the families write what ours are called: padding, unknown, separator, begin, mask.
_WRITTEN = (("[PAD]", "[UNK]", "[SEP]", "[CLS]", "[MASK]"), ("<pad>", "<unk>", "</s>", "<s>", "<mask>"))
_KINDS = {"WordPiece": "wordpiece", "BPE": "bpe"}


@dataclass(frozen=True)
class CheckpointTokenizer:
    """`tokenizer` gives the ids of the checkpoint, of which `row[i]` is the one that it calls i here."""

    tokenizer: TextTokenizer
    row: tuple[int, ...]


def checkpoint_tokenizer(folder: Path) -> CheckpointTokenizer:
    """The tokenizer of `folder`: its tokenizer.json, or its vocab.txt read as BERT reads it.

    A text gives the same pieces as in the library the checkpoint comes from, with one exception that is meant: a text
    that spells a special token stays a text, as there with `split_special_tokens=True`.

    Raises: UsageError where there is neither, or it is not of the kinds WordPiece and byte-level BPE.
    """
    path = folder / "tokenizer.json"
    if path.is_file():
        plain = _read(path)
    elif (folder / "vocab.txt").is_file():
        path = folder / "vocab.txt"
        plain = json.loads(_from_vocabulary(folder).to_str())
    else:
        raise UsageError(
            f"{folder} holds neither tokenizer.json nor vocab.txt; save its tokenizer there in the fast form"
        )
    try:
        return _ours(plain, str(path))
    except UsageError:
        raise
    except Exception as error:
        # The library raises a bare Exception for a tokenizer it cannot read.
        reason = (str(error).splitlines() or [""])[0][:100]
        raise UsageError(f"{path} cannot be read as a tokenizer ({reason}); copy the checkpoint again") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        plain = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"{path} cannot be read ({error}); copy the checkpoint again") from None
    if not isinstance(plain, dict) or not isinstance(plain.get("model"), dict):
        raise UsageError(f"{path} is not a tokenizer; copy the checkpoint again")
    return plain


def _from_vocabulary(folder: Path) -> Tokenizer:
    try:
        words = (folder / "vocab.txt").read_text("utf-8").split("\n")
        beside = folder / "tokenizer_config.json"
        config = json.loads(beside.read_text("utf-8")) if beside.is_file() else {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} cannot be read ({error}); copy the checkpoint again") from None
    words = words[:-1] if words and not words[-1] else words
    inner = Tokenizer(models.WordPiece({word: row for row, word in enumerate(words)}, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(
        lowercase=bool(config.get("do_lower_case", True)),
        strip_accents=config.get("strip_accents"),
        handle_chinese_chars=bool(config.get("tokenize_chinese_chars", True)),
    )
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return inner


def _ours(plain: dict[str, Any], where: str) -> CheckpointTokenizer:
    """The same pieces, with the special tokens renamed and renumbered, so that no text can spell them."""
    model = plain["model"]
    kind = _KINDS.get(model.get("type", "BPE" if "merges" in model else ""))
    if kind is None or not isinstance(model.get("vocab"), dict):
        raise UsageError(f"{where} holds a tokenizer of the kind {model.get('type')!r}; known are {', '.join(_KINDS)}")
    vocabulary: dict[str, int] = dict(model["vocab"])
    added = plain.get("added_tokens") or []
    for token in added:
        vocabulary.setdefault(token["content"], token["id"])
    written = next((names for names in _WRITTEN if all(name in vocabulary for name in names[:4])), None)
    if written is None:
        raise UsageError(
            f"{where} lacks the special tokens {', '.join(_WRITTEN[0][:4])} (or {_WRITTEN[1][3]} and so on)"
        )
    names = {old: new for old, new in zip(written, SPECIAL_OF_CHECKPOINTS, strict=True) if old in vocabulary}
    row = sorted(vocabulary.values())
    if row != list(range(len(row))):
        raise UsageError(f"{where} numbers its tokens with gaps, from {row[0]} to {row[-1]}; save the tokenizer anew")
    place = list(row)
    for new, old_name in enumerate(names):
        # A swap at a time: whoever stood at the place of a special token takes the place it came from.
        at = row.index(vocabulary[old_name])
        row[new], row[at] = row[at], row[new]
    for new, old in enumerate(row):
        place[old] = new
    model["vocab"] = {names.get(word, word): place[old] for word, old in vocabulary.items()}
    if model.get("unk_token") is not None:
        model["unk_token"] = names.get(model["unk_token"], model["unk_token"])
    kept = [{**token, "id": place[token["id"]]} for token in added if not token.get("special")]
    ours = {**plain, "added_tokens": kept, "post_processor": None, "padding": None, "truncation": None}
    inner = Tokenizer.from_str(json.dumps(ours))
    double = (SEPARATOR, SEPARATOR) if written is _WRITTEN[1] else (SEPARATOR,)
    return CheckpointTokenizer(TextTokenizer(kind, inner, Frame((BEGIN,), double, (SEPARATOR,))), tuple(row))


def hides(tokenizer: TextTokenizer) -> bool:
    """True where the vocabulary has a token of its own to hide another."""
    return tokenizer.size > MASK and tokenizer.tokens([MASK]) == ["[MASK]"]
