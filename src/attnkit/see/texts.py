"""The texts to look at: as words, or rows of a data file."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attnkit.data.examples import to_examples
from attnkit.data.readers import read
from attnkit.data.readers.source import load_bytes
from attnkit.data.schema import Schema, infer_schema
from attnkit.errors import UsageError
from attnkit.train.predict_rows import pairs_of, text_lines
from attnkit.train.predictor import Predictor, Text


@dataclass(frozen=True)
class Texts:
    """The texts, and what the file says each is (None where it says nothing)."""

    texts: list[Text]
    labels: list[str | None]


def chosen_texts(
    texts: Sequence[str], data: str | os.PathLike[str] | None, rows: int, predictor: Predictor | None
) -> Texts:
    """The texts given, or the first `rows` of a data file: of its test split where it has one, else of validation.

    Raises: UsageError where both are given or neither, or the file cannot be read.
    """
    if data is not None and texts:
        raise UsageError("--text and --data cannot be given together; leave one out")
    if rows < 1:
        raise UsageError(f"--rows must be at least 1; got {rows}")
    if data is not None:
        return _of_file(Path(data), rows, predictor)
    if any(not text.strip() for text in texts):
        raise UsageError("a text is empty, and there is nothing to look at; give one with a word in it")
    if not texts:
        raise UsageError('there is no text to look at; give --text "...", or --data with a file')
    found = list(texts) if predictor is None else pairs_of(texts, predictor, "--text")
    return Texts(list(found), [None] * len(found))


def _of_file(path: Path, rows: int, predictor: Predictor | None) -> Texts:
    if path.suffix.lower() == ".txt":
        if not path.is_file():
            raise UsageError(f"there is no file {path}; check the name")
        lines = text_lines(load_bytes(path), str(path))[:rows]
        found = list(lines) if predictor is None else pairs_of(lines, predictor, str(path))
        return Texts(list(found), [None] * len(found))
    tables = read(path)
    table = next(tables[name] for name in ("test", "validation", "all", "train") if name in tables)
    inferred = infer_schema(tables) if predictor is None else predictor.schema
    label = inferred.label if inferred.label in table.columns else None
    schema = Schema(inferred.text, label, inferred.kind, inferred.classes)
    examples = to_examples(table, schema)[:rows]
    if not examples:
        raise UsageError(f"{path} holds no row; give a file with texts")
    texts: list[Text] = [row.text if row.pair is None else (row.text, row.pair) for row in examples]
    return Texts(texts, [None if row.label is None else str(row.label) for row in examples])
