"""The schema: which columns are text and label, and what kind of label, inferred and said, or given."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from attnkit.data.columns import guess_label, guess_pair, guess_text, profile
from attnkit.data.labels import KINDS, is_missing, kind_of, number_in, separator_of, to_label
from attnkit.data.table import Table
from attnkit.errors import UsageError

_SHOWN_CLASSES = 6


@dataclass(frozen=True, slots=True)
class Schema:
    """What the columns mean: one text column or a pair, the label column, its kind and its classes.

    `kind` is "single" (one class a row), "multi" (any number of classes) or "score" (a number); `classes` is sorted and
    empty for scores; `separator` parts several labels in one cell; `said` holds one sentence for each inference.
    """

    text: tuple[str, ...]
    label: str | None
    kind: str
    classes: tuple[str, ...]
    said: tuple[str, ...] = ()
    separator: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON record."""
        return {
            "text": list(self.text),
            "label": self.label,
            "kind": self.kind,
            "classes": list(self.classes),
            "said": list(self.said),
            "separator": self.separator,
        }

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Schema":
        """The schema of a record.

        Raises: UsageError where the record is not one.
        """
        fields = {"text", "label", "kind", "classes", "said", "separator"}
        if not isinstance(plain, dict) or set(plain) - fields or not {"text", "label", "kind", "classes"} <= set(plain):
            raise UsageError(
                f"A schema has the fields {', '.join(sorted(fields))} and this record differs; make it anew."
            )
        text, classes, said = (plain.get(key, []) for key in ("text", "classes", "said"))
        lists = (text, classes, said)
        sound = all(isinstance(part, (list, tuple)) and all(isinstance(item, str) for item in part) for part in lists)
        optional = (plain["label"], plain.get("separator"))
        if not sound or len(text) not in {1, 2} or not all(part is None or isinstance(part, str) for part in optional):
            raise UsageError("A schema needs one or two text columns and lists of names; make the record anew.")
        _known_kind(plain["kind"])
        return cls(tuple(text), plain["label"], plain["kind"], tuple(classes), tuple(said), plain.get("separator"))


def infer_schema(
    tables: dict[str, Table],
    text: str | None = None,
    label: str | None = None,
    kind: str | None = None,
    pair: str | None = None,
) -> Schema:
    """The schema of the tables, from the training split (or "all") and what is given; the rest is inferred and said.

    `pair` is the second text column. With no column that can be a label the schema's `label` is None.
    Raises: UsageError for an unknown column (with the nearest name), an unknown kind, or where no guess is clear.
    """
    main = tables.get("train") or tables.get("all") or next(iter(tables.values()))
    said = [note for table in tables.values() for note in table.notes]
    if kind is not None:
        _known_kind(kind)
    for name in (text, label, pair):
        if name is not None:
            _known_column(name, main)
    texts = _texts(main, text, pair, label, said)
    label = _label(main, texts, label, said)
    _check_roles(texts, label)
    for table in tables.values():
        for column in texts:
            if column not in table.columns:
                raise UsageError(_lacks(table, column, "every split needs it"))
    _say_unused(tables, main, {*texts, label}, said)
    if label is None:
        said.append("No column looks like a label; name it with --label.")
        return Schema(texts, None, kind or "single", (), tuple(said))
    found, classes, separator = _kind_and_classes(tables, main, label, kind, said)
    return Schema(texts, label, found, classes, tuple(said), separator)


def _texts(main: Table, text: str | None, pair: str | None, label: str | None, said: list[str]) -> tuple[str, ...]:
    free = [profile(main, column) for column in main.columns if column not in {label, pair}]
    twins = guess_pair(free) if text is None and pair is None else None
    if twins:
        said.append(f"The texts are pairs of the columns '{twins[0]}' and '{twins[1]}' (by their names).")
        return twins
    if text is None:
        text, reason = guess_text(free)
        if text is None:
            raise UsageError(
                f"No column of {_file(main)} holds texts ({', '.join(main.columns)}); name it with --text."
            )
        said.append(f"The text is the column '{text}' ({reason}).")
    return (text,) if pair is None else (text, pair)


def _label(main: Table, texts: tuple[str, ...], label: str | None, said: list[str]) -> str | None:
    if label is not None:
        return label
    rest = [profile(main, column) for column in main.columns if column not in texts]
    found, reason = guess_label(rest)
    if len(found) > 1:
        names = ", ".join(f"'{name}'" for name in found)
        raise UsageError(f"Each of the columns {names} of {_file(main)} could be the label; say which with --label.")
    if not found:
        return None
    said.append(f"The label is the column '{found[0]}' ({reason}).")
    return found[0]


def _check_roles(texts: tuple[str, ...], label: str | None) -> None:
    roles = [*texts, *([] if label is None else [label])]
    twice = [role for number, role in enumerate(roles) if role in roles[:number]]
    if twice:
        raise UsageError(
            f"The column '{twice[0]}' is given two roles; name different columns for text, pair and label."
        )


def _say_unused(tables: dict[str, Table], main: Table, used: set[str | None], said: list[str]) -> None:
    unused = [f"'{column}'" for column in main.columns if column not in used]
    if unused:
        said.append(f"{'The column' if len(unused) == 1 else 'The columns'} {_listed(unused)} not used.")
    for table in tables.values():
        extra = [f"'{column}'" for column in table.columns if column not in main.columns]
        if extra:
            noun = "The column" if len(extra) == 1 else "The columns"
            said.append(f"{noun} {_listed(extra)} only in the {table.name} split and not used.")


def _kind_and_classes(
    tables: dict[str, Table], main: Table, label: str, kind: str | None, said: list[str]
) -> tuple[str, tuple[str, ...], str | None]:
    for table in tables.values():
        if label not in table.columns:
            if table.name != "test":
                raise UsageError(_lacks(table, label, "training and validation need labels"))
            said.append(f"The test split has no column '{label}', so it can be predicted and not measured.")
    cells = [cell for table in tables.values() for cell in table.cells(label) if not is_missing(cell)]
    reason = "as given"
    if kind is None:
        kind, reason = kind_of([cell for cell in main.cells(label) if not is_missing(cell)])
    separator = separator_of(cells) if kind == "multi" else None
    if kind == "score":
        said.append(_say_scores(cells, reason))
        return kind, (), None
    classes: set[str] = set()
    for table in tables.values():
        for row in table.rows:
            value = to_label(row, label, kind, separator)
            if value is not None:
                classes.update(value if isinstance(value, tuple) else (str(value),))
    if table_unlabeled := _unlabeled_mark(tables, main, label, kind):
        classes.discard(table_unlabeled)
    names = in_order(classes)
    rows_have = "Each row has any number" if kind == "multi" else "Each row has one"
    shown = ", ".join(names[:_SHOWN_CLASSES]) + (", ..." if len(names) > _SHOWN_CLASSES else "")
    said.append(f"{rows_have} of {len(names)} classes ({shown}): {reason}.")
    return kind, names, separator


def _unlabeled_mark(tables: dict[str, Table], main: Table, label: str, kind: str) -> str | None:
    """-1, the usual mark for a hidden label, where it fills other splits and never stands in the training rows."""
    if kind != "single" or any(number_in(cell) == -1 for cell in main.cells(label)):
        return None
    others = [table for table in tables.values() if table is not main and label in table.columns]
    return "-1" if any(all(number_in(cell) == -1 for cell in table.cells(label)) for table in others) else None


def _say_scores(cells: list[object], reason: str) -> str:
    numbers = [number for number in map(number_in, cells) if number is not None]
    if not numbers:
        return f"Each row has a score: {reason}."
    return f"Each row has a score, from {min(numbers):g} to {max(numbers):g}: {reason}."


def in_order(classes: Iterable[str]) -> tuple[str, ...]:
    """Classes sorted as numbers where all are numbers, else by letter."""
    names = sorted(classes)
    numbers = [number_in(name) for name in names]
    if any(number is None for number in numbers):
        return tuple(names)
    return tuple(
        name for _, name in sorted(zip(numbers, names, strict=True), key=lambda entry: (entry[0] or 0, entry[1]))
    )


def _known_kind(kind: object) -> None:
    if kind not in KINDS:
        near = difflib.get_close_matches(str(kind), KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(KINDS)}."
        raise UsageError(f"There is no kind of label {kind!r}; {hint}")


def _known_column(name: str, table: Table) -> None:
    if name in table.columns:
        return
    near = difflib.get_close_matches(name.lower(), [column.lower() for column in table.columns], n=1)
    meant = next((column for column in table.columns if near and column.lower() == near[0]), None)
    hint = f"did you mean '{meant}'? " if meant else ""
    raise UsageError(f"{_file(table)} has no column '{name}'; {hint}its columns are {', '.join(table.columns)}.")


def _lacks(table: Table, column: str, why: str) -> str:
    return f"{_file(table)} has no column '{column}' (it has {', '.join(table.columns)}), and {why}; add the column."


def _file(table: Table) -> str:
    return table.rows[0].file if table.rows else f"the {table.name} split"


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is"
    return f"{', '.join(names[:-1])} and {names[-1]} are"
