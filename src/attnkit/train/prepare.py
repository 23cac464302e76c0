"""From a path to splits that may be trained on: read, understand, check, split."""

import hashlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from attnkit.data.check import Finding, check
from attnkit.data.check_texts import check_lengths, check_texts
from attnkit.data.examples import Example, to_examples
from attnkit.data.readers import read
from attnkit.data.readers.lines import holds_lines, read_lines
from attnkit.data.schema import Schema, infer_schema
from attnkit.data.table import Table
from attnkit.data.texts import texts_schema
from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe
from attnkit.task.base import Task
from attnkit.task.choose import task_for
from attnkit.task.language import LanguageModeling
from attnkit.train.choose_language import refuse_labels
from attnkit.train.events import Say
from attnkit.train.preprocessing import Ids, Preprocessing

_PLACES = 20


@dataclass(frozen=True)
class Source:
    """What was read: tables by split, what their columns mean, and the hash of the files."""

    path: Path
    tables: Mapping[str, Table]
    schema: Schema
    task: Task
    sha256: str

    def examples(self) -> dict[str, list[Example]]:
        """The rows of every table as examples."""
        return {name: to_examples(table, self.schema) for name, table in self.tables.items()}


def read_source(recipe: Recipe, say: Say) -> Source:
    """Read the data a recipe names, and say what was inferred.

    Raises: UsageError where it cannot be read or understood, or has no labels.
    """
    settings = recipe.data
    if not settings.path:
        raise UsageError("the recipe names no data (data.path is empty); give the path of a data file")
    path = Path(settings.path)
    language = recipe.model.language
    refuse_labels(recipe)
    lines = language != "none" and holds_lines(path)
    tables = {"all": read_lines(path)} if lines else read(path)
    text = settings.text[0] if settings.text else None
    pair = settings.text[1] if len(settings.text) == 2 else None
    kind = None if settings.kind == "auto" else settings.kind
    if language != "none":
        schema = texts_schema(tables, text, pair)
        if lines:
            schema = replace(schema, said=("Each line is a text.",))
    else:
        schema = infer_schema(tables, text=text, label=settings.label or None, kind=kind, pair=pair)
    for sentence in schema.said:
        say("said", sentence=sentence)
    if language != "none":
        return Source(path, tables, schema, LanguageModeling(language), data_sha256(path))
    if schema.label is None:
        raise UsageError(f"{path} has no column that can be the label; name it with --label")
    return Source(path, tables, schema, task_for(schema), data_sha256(path))


def check_source(splits: dict[str, list[Example]], schema: Schema, say: Say) -> None:
    """Check examples before the first step, reporting every finding that is not raised.

    Raises: UsageError with the first error.
    """
    findings = check(splits, schema) if schema.label is not None else list(check_texts(splits))
    errors = [finding for finding in findings if finding.level == "error"]
    for finding in findings:
        if finding not in errors[:1]:
            _report(finding, say)
    if errors:
        more = f" ({len(errors) - 1} more: `attn check` lists them)" if len(errors) > 1 else ""
        raise UsageError(errors[0].sentence + more)


def check_cut(
    splits: dict[str, list[Example]], prepare: Preprocessing, items: dict[str, Sequence[Ids]], say: Say
) -> None:
    """Report how many texts the limit on length cuts; only those that reach it are counted in full."""
    limit = prepare.max_sentences if prepare.hierarchical else prepare.max_tokens
    whole = replace(prepare, max_tokens=sys.maxsize, max_sentences=sys.maxsize)
    counts = {name: prepare.lengths(held) for name, held in items.items()}
    for name, lengths in counts.items():
        full = [row for row, length in enumerate(lengths) if length >= limit]
        rows = [splits[name][row] for row in full]
        uncut = whole.lengths(whole.encode([row.text for row in rows], [row.pair for row in rows])) if rows else []
        for row, length in zip(full, uncut, strict=True):
            lengths[row] = length
    for found in check_lengths(splits, dict(counts), limit, "sentences" if prepare.hierarchical else "tokens"):
        _report(found, say)


def _report(found: Finding, say: Say) -> None:
    places = list(found.places[:_PLACES])
    say("finding", level=found.level, sentence=found.sentence, places=places, places_in_all=len(found.places))


def data_sha256(path: Path) -> str:
    """One hash over the data files at `path`: a file's bytes, or the names and bytes of a folder's files in order."""
    whole = hashlib.sha256()
    try:
        if path.is_file():
            _add(whole, path)
        else:
            for file in sorted(p for p in path.rglob("*") if p.is_file() and not p.name.startswith((".", "README"))):
                whole.update(file.relative_to(path).as_posix().encode("utf-8", "surrogateescape") + b"\0")
                _add(whole, file)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}); check its rights") from None
    return whole.hexdigest()


def _add(whole: "hashlib._Hash", path: Path) -> None:
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            whole.update(piece)
