"""Free values (roles, explanations) as JSON and back: words, numbers, lists and tables, and tensors among them."""

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST_DEPTH = 32
# What a value of JSON takes in memory at most, beside its letters.
NODE_BYTES, LETTER_BYTES = 100, 4
_ARRAY, _NUMBER = "$array", "$number"


def packed(value: Any, keep: Callable[[Tensor], int], what: str, depth: int = 0) -> Any:
    """`value` as JSON holds it; tensors go to `keep`, which gives their number. Tuples become lists.

    Raises: ValueError where it holds anything else, naming `what`.
    """
    if depth > MOST_DEPTH:
        raise ValueError(f"{what} is nested more than {MOST_DEPTH} deep; write fewer lists inside one another")
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value)
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {_NUMBER: str(value)}
    if isinstance(value, Tensor):
        return {_ARRAY: keep(value)}
    if isinstance(value, list | tuple):
        return [packed(one, keep, what, depth + 1) for one in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: packed(one, keep, what, depth + 1) for key, one in value.items()}
    raise ValueError(
        f"{what} holds a {type(value).__name__}; a capture's file keeps numbers, words, tensors, lists, and tables "
        "whose keys are words that do not begin with $"
    )


def unpacked(value: Any, fetch: Callable[[Any], Tensor], depth: int = 0) -> Any:
    """The inverse of `packed`.

    Raises: ValueError where it is nested deeper than that goes.
    """
    if depth > MOST_DEPTH:
        raise ValueError(f"it holds lists more than {MOST_DEPTH} deep")
    if isinstance(value, list):
        return [unpacked(one, fetch, depth + 1) for one in value]
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            return fetch(value[_ARRAY])
        if value.keys() == {_NUMBER}:
            return number(value)
        return {key: unpacked(one, fetch, depth + 1) for key, one in value.items()}
    return value


def number(value: Any) -> float:
    """A number that may not be finite, as `packed` wrote it.

    Raises: ValueError where it is none.
    """
    if isinstance(value, dict) and value.keys() == {_NUMBER} and value[_NUMBER] in ("nan", "inf", "-inf"):
        return float(value[_NUMBER])
    if type(value) not in (int, float):
        raise ValueError(f"a number is missing where {str(value)[:40]!r} stands")
    return float(value)


def as_json(value: Any) -> bytes:
    """JSON in ASCII, so that any token comes back, half a pair of surrogates too."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def bytes_of_json(content: bytes) -> int:
    """A bound on what `from_json` of it takes in memory."""
    marks = sum(content.count(mark) for mark in (b",", b"[", b"{", b":"))
    return NODE_BYTES * (marks + 1) + LETTER_BYTES * len(content)


def from_json(content: bytes) -> Any:
    """The value.

    Raises: ValueError where it is no JSON, nests too deep or holds numbers that are not finite.
    """

    def refused(word: str) -> None:
        raise ValueError(f"{word} is no number of JSON")

    try:
        return json.loads(content.decode("utf-8"), parse_constant=refused)
    except RecursionError:
        raise ValueError("its manifest nests too deep") from None
    except ValueError as error:
        raise ValueError(f"its manifest is no JSON ({str(error)[:80]})") from None
