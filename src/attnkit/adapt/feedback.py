"""Labeled feedback: the file that a service appends to, or any labeled data with the columns of the run."""

import hashlib
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.data.examples import Example, to_examples
from attnkit.data.readers import read
from attnkit.data.schema import Schema
from attnkit.errors import UsageError

_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Feedback:
    """Rows in the order in which they came; `digests[n]` stands for the texts and labels of the first n."""

    rows: tuple[Example, ...]
    digests: tuple[str, ...]

    @classmethod
    def of(cls, rows: Sequence[Example]) -> "Feedback":
        """Rows with their digests."""
        digests = [""]
        for row in rows:
            digests.append(next_digest(digests[-1], row))
        return cls(tuple(rows), tuple(digests))


def next_digest(before: str, row: Example) -> str:
    """The digest of some rows and one more, from that of those rows ("" of none)."""
    plain = json.dumps([before, row.text, row.pair, row.label], ensure_ascii=False)
    return hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def read_feedback(path: str | os.PathLike[str], schema: Schema, model: str) -> Feedback:
    """The labeled rows of a file of feedback on `model`, or of a data file with the columns that `schema` names.

    A line of feedback is {"text": ..., "label": ...}, with whatever else a service noted; of pairs the text is a list
    of two. Lines on another model are passed over. A last line without its end, such as a crash leaves, is no row yet.

    Raises: UsageError where the file cannot be read, or no row has a label.
    """
    place = Path(path)
    if _holds_feedback(place):
        tail = FeedbackTail(place, schema, model)
        rows: list[Example] = []
        while found := tail.read():
            rows += found
        others = f" on {model} (it is on {', '.join(sorted(tail.others))})" if tail.others else ""
    else:
        tables = read(place)
        if len(tables) > 1:
            raise UsageError(f"{place} holds {', '.join(tables)}; name one file, as feedback comes in one order")
        rows = [row for table in tables.values() for row in to_examples(table, schema) if _counts(row)]
        others = ""
    if not rows:
        raise UsageError(f"{place} holds no row with a text and a label{others}; give feedback to learn from")
    return Feedback.of(rows)


class FeedbackTail:
    """Reads a growing file of feedback on `model` from where it stopped; `others` names the other models it met."""

    def __init__(self, path: Path, schema: Schema, model: str) -> None:
        self.path, self.schema, self.model = path, schema, model
        self.others: set[str] = set()
        self._offset = self._line = 0

    def read(self) -> list[Example]:
        """The labeled rows of the whole lines that came since, or of the next of them; none where there is no file yet.

        Raises: UsageError at a line that is no feedback on such a model.
        """
        found: list[Example] = []
        while not found and (lines := self._lines()):
            for line in lines:
                self._line += 1
                row = self._row(line) if line.strip() else None
                if row is not None:
                    found.append(row)
        return found

    def _lines(self) -> list[bytes]:
        try:
            with open(self.path, "rb") as file:
                file.seek(self._offset)
                content = file.read(_AT_ONCE)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise UsageError(f"{self.path} cannot be read ({error.strerror}); check its place and rights") from None
        whole = content[: content.rfind(b"\n") + 1]
        self._offset += len(whole)
        return whole.split(b"\n")[:-1]

    def _row(self, line: bytes) -> Example | None:
        where = f"{self.path}:{self._line}"
        try:
            plain = json.loads(line)
            text, label, model = plain["text"], plain["label"], plain.get("model", self.model)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UsageError(f"{where} is no line of feedback, such as {_SUCH}; mend or drop it") from None
        if model != self.model:
            self.others.add(str(model))
            return None
        row = _example(text, label, self.schema, self.path, self._line)
        return row if _counts(row) else None


_SUCH = '{"text": "...", "label": "..."}'


def _counts(row: Example) -> bool:
    return row.label is not None and bool(row.text.strip())


def _holds_feedback(path: Path) -> bool:
    """True where the first line is one that a service may have noted."""
    try:
        with open(path, "rb") as file:
            plain = json.loads(file.readline(_AT_ONCE))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check its place and rights") from None
    except (ValueError, RecursionError):
        return False
    return isinstance(plain, dict) and "text" in plain and "label" in plain


def _example(text: Any, label: Any, schema: Schema, path: Path, number: int) -> Example:
    where = f"{path}:{number}"
    paired = len(schema.text) == 2
    if paired and not (isinstance(text, list) and len(text) == 2 and all(isinstance(one, str) for one in text)):
        raise UsageError(f"{where} must hold a pair of texts, as the run was trained on pairs; make it a list of two")
    if not paired and not isinstance(text, str):
        raise UsageError(f"{where} must hold one text, as the run was trained on single ones; make it a string")
    first, second = (text[0], text[1]) if paired else (text, None)
    if schema.kind == "score":
        if isinstance(label, bool) or not isinstance(label, int | float | None) or not math.isfinite(label or 0):
            raise UsageError(f"{where} has the label {label!r}, and the run predicts a number; correct or drop it")
        return Example(first, second, None if label is None else float(label), str(path), number)
    names = label if isinstance(label, list) else [label]
    unknown = [name for name in names if name is not None and name not in schema.classes]
    if unknown:
        raise UsageError(
            f"{where} has the label {unknown[0]!r}, which is none of the run's classes; correct it, or train anew"
        )
    if schema.kind == "multi":
        return Example(first, second, None if label is None else tuple(names), str(path), number)
    if isinstance(label, list):
        raise UsageError(f"{where} has a list of labels, and the run predicts one class; name one")
    return Example(first, second, label, str(path), number)
