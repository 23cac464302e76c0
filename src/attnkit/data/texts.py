"""The texts of data whose labels, if any, are not read."""

from attnkit.data.columns import guess_pair, guess_text, profile
from attnkit.data.schema import Schema
from attnkit.data.table import Table
from attnkit.errors import UsageError


def texts_schema(tables: dict[str, Table], text: str | None = None, pair: str | None = None) -> Schema:
    """The schema of the texts alone, from the training split (or "all") and what is given; it names no label.

    Raises: UsageError where a named column is missing, or none can be the texts.
    """
    main = tables.get("train") or tables.get("all") or next(iter(tables.values()))
    said = [note for table in tables.values() for note in table.notes]
    for name in (text, pair):
        if name is not None and name not in main.columns:
            raise UsageError(f"There is no column '{name}'; the columns are {', '.join(main.columns)}.")
    columns: tuple[str, ...] | None = None
    free = [profile(main, column) for column in main.columns if column != pair]
    if text is None and pair is None:
        columns = guess_pair(free)
        if columns is not None:
            said.append(f"The texts are pairs of the columns '{columns[0]}' and '{columns[1]}' (by their names).")
    if columns is None:
        if text is None:
            text, reason = guess_text(free)
            if text is None:
                raise UsageError(f"No column holds texts ({', '.join(main.columns)}); name it with --text.")
            said.append(f"The text is the column '{text}' ({reason}).")
        columns = (text,) if pair is None else (text, pair)
    said.append("Labels are not read.")
    return Schema(columns, None, "single", (), tuple(said))
