"""Texts without labels, read and encoded as a run encodes its own."""

from pathlib import Path

from attnkit.data.examples import to_examples
from attnkit.data.readers import read
from attnkit.data.readers.source import load_bytes
from attnkit.data.schema import Schema
from attnkit.errors import UsageError
from attnkit.train.predict_rows import text_lines
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.unlabeled import Unlabeled


def read_unlabeled(path: str, schema: Schema, prepare: Preprocessing, packs: bool) -> Unlabeled:
    """The texts of a data file or folder (every split of it), or the lines of a .txt file, as the run encodes texts.

    Raises: UsageError where the file cannot be read, lacks the text columns, holds no text, or holds lines where the
        run reads pairs.
    """
    texts: list[tuple[str, str | None]]
    if Path(path).suffix == ".txt":
        if len(schema.text) == 2:
            raise UsageError(f"{path} holds single texts and this run reads pairs; give a file with both columns")
        if not Path(path).is_file():
            raise UsageError(f"there is no file {path} of texts without labels; check regularize.unlabeled")
        texts = [(line, None) for line in text_lines(load_bytes(Path(path)), path)]
    else:
        columns = Schema(schema.text, None, schema.kind, schema.classes)
        rows = [row for table in read(path).values() for row in to_examples(table, columns)]
        texts = [(row.text, row.pair) for row in rows]
    texts = [text for text in texts if text[0].strip()]
    items = [ids for ids in prepare.encode([text for text, _ in texts], [pair for _, pair in texts]) if ids]
    if not items:
        raise UsageError(f"{path} holds no text; give texts to learn from, or leave regularize.unlabeled out")
    return Unlabeled(items, prepare.pack if packs else prepare.collate)
