"""JSON lines (one object a line), and a JSON file that is one array of objects."""

import json
from collections.abc import Iterator
from pathlib import Path

from attnkit.data.readers.source import load_text
from attnkit.data.table import Row, Table
from attnkit.errors import UsageError

_SPACE = " \t\r\n"


class _TwinKey(ValueError):
    pass


def read_json(path: Path) -> Table:
    """The rows of a JSON lines file, or of one JSON array of objects.

    Raises: UsageError for a line that is not a JSON object, twin keys or half characters, with file and line.
    """
    text = load_text(path)
    file = str(path)
    records = _array(path, text) if text.lstrip(_SPACE).startswith("[") else _lines(path, text)
    rows = [Row(values, file, line) for line, values in records]
    if not rows:
        raise UsageError(f"{path} holds no rows; it needs one JSON object a line.")
    columns = tuple(dict.fromkeys(key for row in rows for key in row.values))
    if not columns:
        raise UsageError(f'{path} holds only empty objects; write lines such as {{"text": "...", "label": "..."}}.')
    return Table("all", columns, rows)


def _lines(path: Path, text: str) -> Iterator[tuple[int, dict[str, object]]]:
    decode = json.JSONDecoder(object_pairs_hook=_object).decode
    for number, line in enumerate(text.split("\n"), start=1):
        content = line.strip(_SPACE)
        if content:
            try:
                value = decode(content)
            except (ValueError, RecursionError) as error:
                raise UsageError(f"{path}:{number} is not JSON ({_reason(error)}); mend the line.") from None
            yield number, _checked(path, number, value, content)


def _array(path: Path, text: str) -> Iterator[tuple[int, dict[str, object]]]:
    decode = json.JSONDecoder(object_pairs_hook=_object).raw_decode
    position = _skip(text, text.index("[") + 1)
    line, counted = 1, 0
    while text[position : position + 1] != "]":
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, end = decode(text, position)
        except (ValueError, RecursionError) as error:
            if isinstance(error, json.JSONDecodeError):
                line = error.lineno
            raise UsageError(f"{path}:{line} is not JSON ({_reason(error)}); mend it.") from None
        yield line, _checked(path, line, value, text[position:end])
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            raise UsageError(f"{path}:{line} is followed by neither a comma nor the end of the array; mend the file.")
    if text[position + 1 :].strip(_SPACE):
        line += text.count("\n", counted, position)
        raise UsageError(f"{path}:{line} has more text behind the end of the array; write one JSON object a line.")


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _SPACE:
        position += 1
    return position


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    values = dict(pairs)
    if len(values) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwinKey(next(key for number, key in enumerate(keys) if key in keys[:number]))
    return values


def _checked(path: Path, line: int, value: object, source: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise UsageError(
            f"{path}:{line} is a JSON {_kind(value)} where an object is needed; "
            'write lines such as {"text": "...", "label": "..."}.'
        )
    # A lone surrogate can only come from an escape, so the search for one is rarely needed.
    if "\\u" in source:
        try:
            json.dumps(value, ensure_ascii=False).encode("utf-8")
        except (UnicodeEncodeError, RecursionError):
            raise UsageError(
                f"{path}:{line} holds half a character (a lone \\ud800 to \\udfff); write the file again as UTF-8."
            ) from None
    return value


def _kind(value: object) -> str:
    names = {list: "array", str: "string", bool: "truth value", type(None): "null"}
    return names.get(type(value), "number")


def _reason(error: Exception) -> str:
    if isinstance(error, _TwinKey):
        return f"the key '{error}' stands in it twice"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.removesuffix(' at')} at character {error.colno}"
    return "a number in it is too long"
