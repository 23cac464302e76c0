"""Strata: rows that a split should share out evenly, and rows it may not part."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import blake2b
from math import inf

from attnkit.data.examples import Example

_BANDS = 10


def groups_in_strata(examples: Sequence[Example], seed: int) -> list[list[list[int]]]:
    """Row numbers as strata of groups: the rows of a group have the same text, the groups of a stratum a like label.

    The order of the groups is drawn by a hash of seed and text: it depends on neither the order of the rows nor the
    version of a random generator. Where examples have an order, the last of each stratum stand first instead.
    """
    groups: dict[tuple[str, str | None], list[int]] = defaultdict(list)
    for number, example in enumerate(examples):
        groups[example.content].append(number)
    ordered = sorted(groups, key=lambda content: _draw(content, seed))
    strata: dict[str, list[list[int]]] = defaultdict(list)
    names = _strata_names(examples)
    for content in ordered:
        strata[names[groups[content][0]]].append(groups[content])
    if any(example.order is not None for example in examples):
        for stratum in strata.values():
            stratum.sort(key=lambda group: max(_order(examples[row]) for row in group), reverse=True)
    return [strata[name] for name in sorted(strata)]


def _order(example: Example) -> tuple[bool, float, str]:
    """Numbers before texts, as the splits of one set may hold either."""
    order = example.order
    return (True, 0.0, order) if isinstance(order, str) else (False, -inf if order is None else order, "")


def _draw(content: tuple[str, str | None], seed: int) -> bytes:
    return blake2b(repr((seed, *content)).encode("utf-8"), digest_size=16).digest()


def _strata_names(examples: Sequence[Example]) -> list[str]:
    """Classes by name, several classes by the rarest of them, scores by tenths of their distribution."""
    scores = sorted(example.label for example in examples if isinstance(example.label, float))
    edges = [scores[len(scores) * band // _BANDS] for band in range(1, _BANDS)] if scores else []
    counts = Counter(name for example in examples if isinstance(example.label, tuple) for name in example.label)
    return [_stratum(example, edges, counts) for example in examples]


def _stratum(example: Example, edges: list[float], counts: Counter[str]) -> str:
    label = example.label
    if isinstance(label, float):
        return f"score {bisect_right(edges, label):02d}"
    if isinstance(label, tuple):
        return f"class {min(label, key=lambda name: (counts[name], name))}" if label else "none"
    return "unlabeled" if label is None else f"class {label}"
