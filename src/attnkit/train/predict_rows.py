"""Predictions for a file: its rows, with columns added."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from attnkit.data.examples import to_examples
from attnkit.data.readers import read
from attnkit.data.readers.source import load_bytes
from attnkit.data.schema import Schema
from attnkit.data.writers import kind_of_file, packed, written
from attnkit.errors import UsageError
from attnkit.files import write_bytes
from attnkit.task.base import Prediction
from attnkit.train.predictor import Text

PREDICTION, PROBABILITY = "prediction", "probability"


class Predicts(Protocol):
    """Whatever predicts the texts of a file: a Predictor, or a service in front of one."""

    @property
    def schema(self) -> Schema:
        """What the columns of the training data meant."""
        ...

    @property
    def paired(self) -> bool:
        """True where a text is a pair of texts."""
        ...

    def predict(self, texts: Sequence[Text]) -> list[Prediction]:
        """Label and probabilities of each text, in order."""
        ...


def predict_file(
    predictor: Predicts,
    source: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    probabilities: bool = False,
    text: str | None = None,
    pair: str | None = None,
    force: bool = False,
) -> tuple[int, str | None]:
    """Predict each row of a data file, or each line of a .txt file; (rows, the written text where `out` is None).

    The output is of the same kind as the input, or as the name of `out` says, with the columns prediction and
    probability added, and one column a class with `probabilities`.

    Raises: UsageError where the file cannot be read, lacks the text column, or `out` stands there without `force`.
    """
    path = Path(source)
    target = None if out is None else Path(out)
    if target is not None:
        _check_target(path, target, force)
    kind, gzipped = kind_of_file(path if target is None else target)
    columns, rows, texts = (
        _lines(path, predictor) if path.suffix.lower() == ".txt" else _rows(path, predictor, text, pair)
    )
    added = [columns_of(one, probabilities) for one in predictor.predict(texts)]
    names = list(added[0]) if added else [PREDICTION]
    taken = [name for name in names if name in columns]
    if taken:
        raise UsageError(f"{path} has a column {taken[0]!r} already; rename it, so that nothing is overwritten")
    content = written(kind, [*columns, *names], [{**row, **more} for row, more in zip(rows, added, strict=True)])
    if target is None:
        return len(rows), content
    write_bytes(target, packed(content, gzipped))
    return len(rows), None


def columns_of(prediction: Prediction, probabilities: bool) -> dict[str, Any]:
    """The columns that a prediction adds to a row."""
    label = list(prediction.label) if isinstance(prediction.label, tuple) else prediction.label
    columns: dict[str, Any] = {PREDICTION: label}
    if prediction.probability is not None:
        columns[PROBABILITY] = prediction.probability
    if probabilities:
        columns |= {f"{PROBABILITY}:{name}": value for name, value in prediction.probabilities.items()}
    return columns


def check_sources(
    texts: Sequence[str],
    file: Path | None,
    out: Path | None,
    where: bool,
    json: bool,
    force: bool = False,
    **of_file: str | None,
) -> None:
    """Refuse combinations of options that cannot all be honoured; `of_file` are those that name columns of the file.

    Raises: UsageError naming the two that clash.
    """
    named = [f"--{name}" for name, value in of_file.items() if value is not None]
    if named and (file is None or file.suffix.lower() == ".txt"):
        raise UsageError(f"{named[0]} names a column and needs --file with a file that has columns; leave it out")
    if file is not None and texts:
        raise UsageError("texts and --file cannot be given together; leave one out")
    if file is not None and where:
        raise UsageError("--where shows texts in the terminal and cannot go with --file; give the texts themselves")
    if file is None and out is not None:
        raise UsageError("--out needs --file; texts are answered in the terminal")
    if force and out is None:
        raise UsageError("--force replaces the file of --out and does nothing without it; leave it out, or give --out")
    if file is not None and out is None and json:
        raise UsageError("--json with --file needs --out; a .jsonl or .json file is answered in JSON without it")


def text_lines(content: bytes, where: str) -> list[str]:
    """The lines of a UTF-8 text.

    Raises: UsageError where there is none, or it is not UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UsageError(f"{where}:{line} is not UTF-8; convert it, for example with: iconv -t UTF-8") from None
    if not text.strip():
        raise UsageError(f"{where} holds no text; give texts in quotes, --file, or lines on standard input")
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]


def _check_target(source: Path, target: Path, force: bool) -> None:
    if target.exists() and source.exists() and target.samefile(source):
        raise UsageError(f"--out names the input itself, {target}; choose another name")
    if target.is_dir():
        raise UsageError(f"--out names a folder, {target}; name a file")
    if target.exists() and not force:
        raise UsageError(f"{target} already exists; choose another name with --out, or add --force")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {target.absolute().parent} to write {target.name} into; make it first")


def _lines(path: Path, predictor: Predicts) -> tuple[list[str], list[dict[str, Any]], Sequence[Any]]:
    if not path.is_file():
        raise UsageError(f"there is no file {path}; check the name")
    texts = pairs_of(text_lines(load_bytes(path), str(path)), predictor, str(path))
    return ["text"], [{"text": "\t".join(one) if isinstance(one, tuple) else one} for one in texts], texts


def pairs_of(lines: Sequence[str], predictor: Predicts, where: str) -> list[str | tuple[str, str]]:
    """Lines as the model takes them: where it reads pairs, each holds two texts with a tab between them.

    Raises: UsageError naming the line that does not.
    """
    if not predictor.paired:
        return list(lines)
    found: list[str | tuple[str, str]] = []
    for number, line in enumerate(lines, 1):
        first, tab, second = line.partition("\t")
        if not tab:
            raise UsageError(
                f"{where}:{number} is one text and this model reads pairs; put a tab between the two texts"
            )
        found.append((first, second))
    return found


def _rows(
    path: Path, predictor: Predicts, text: str | None, pair: str | None
) -> tuple[list[str], list[dict[str, Any]], Sequence[Any]]:
    tables = read(path)
    if len(tables) > 1:
        raise UsageError(f"{path} holds the splits {', '.join(tables)}; name one file")
    table = next(iter(tables.values()))
    schema = predictor.schema
    if pair is not None and not predictor.paired:
        raise UsageError(f"--pair {pair} names a second text and this model reads single texts; leave it out")
    columns = [text or schema.text[0], *([pair or schema.text[1]] if predictor.paired else [])]
    examples = to_examples(table, Schema(tuple(columns), None, schema.kind, schema.classes))
    texts = [(row.text, row.pair or "") if predictor.paired else row.text for row in examples]
    return list(table.columns), [dict(row.values) for row in table.rows], texts
