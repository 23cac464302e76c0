"""Labeled feedback: the file that a service appends to, or any labeled data with the columns of the run."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.data.examples import Example, to_examples
from attnkit.data.readers import read
from attnkit.data.schema import Schema
from attnkit.errors import UsageError


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


def read_feedback(path: str | os.PathLike[str], schema: Schema) -> Feedback:
    """The labeled rows of a file of feedback, or of a data file with the columns that `schema` names.

    A line of feedback is {"text": ..., "label": ...}, with whatever else a service noted; of pairs the text is a list
    of two. A last line without its end, such as a crash leaves, is no row yet.

    Raises: UsageError where the file cannot be read, or no row has a label.
    """
    place = Path(path)
    lines = _lines(place) if place.suffix == ".jsonl" else None
    if lines is not None and all(_is_feedback(line) for _, line in lines):
        rows = [_example(line, schema, place, number) for number, line in lines]
    else:
        tables = read(place)
        if len(tables) > 1:
            raise UsageError(f"{place} holds {', '.join(tables)}; name one file, as feedback comes in one order")
        rows = [row for table in tables.values() for row in to_examples(table, schema)]
    labeled = [row for row in rows if row.label is not None and row.text.strip()]
    if not labeled:
        raise UsageError(f"{place} holds no row with a text and a label; give feedback to learn from")
    return Feedback.of(labeled)


def _lines(path: Path) -> list[tuple[int, Any]] | None:
    """The JSON values of whole lines with their numbers; None where one is no JSON, which a reader says better."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check its place and rights") from None
    whole = content[: content.rfind(b"\n") + 1]
    found = []
    for number, line in enumerate(whole.split(b"\n")[:-1], 1):
        if line.strip():
            try:
                found.append((number, json.loads(line)))
            except (ValueError, RecursionError):
                return None
    return found


def _is_feedback(line: Any) -> bool:
    return isinstance(line, dict) and "text" in line and "label" in line


def _example(line: dict[str, Any], schema: Schema, path: Path, number: int) -> Example:
    where = f"{path}:{number}"
    text, label, paired = line["text"], line["label"], len(schema.text) == 2
    if paired and not (isinstance(text, list) and len(text) == 2 and all(isinstance(one, str) for one in text)):
        raise UsageError(f"{where} must hold a pair of texts, as the run was trained on pairs; make it a list of two")
    if not paired and not isinstance(text, str):
        raise UsageError(f"{where} must hold one text, as the run was trained on single ones; make it a string")
    first, second = (text[0], text[1]) if paired else (text, None)
    if schema.kind == "score":
        if isinstance(label, bool) or not isinstance(label, int | float | None):
            raise UsageError(f"{where} has the label {label!r}, and the run predicts a number")
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
