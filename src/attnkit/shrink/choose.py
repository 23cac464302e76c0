"""From importance to changes: the least important heads, inner units and layers, as many as are wished."""

import re
from collections.abc import Mapping, Sequence

from attnkit.errors import UsageError
from attnkit.model.changes import RemoveHeads, RemoveUnits

Scores = Mapping[int, Sequence[float]]


def amount(wish: str, total: int, what: str) -> int:
    """How many of `total` heads, units or layers "50%" or "12" stands for.

    Raises: UsageError where it is neither, is nothing, or is more than there are.
    """
    share = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", wish.strip())
    if share:
        count = round(float(share[1]) / 100 * total)
    elif wish.strip().isdecimal():
        count = int(wish)
    else:
        raise UsageError(f"--{what} takes a share such as 50% or a number, and got {wish!r}")
    if not 1 <= count <= total:
        raise UsageError(f"--{what} {wish} is {count} of the {total} {what} there are; name at least 1 and at most all")
    return count


def least_heads(scores: Scores, count: int) -> tuple[RemoveHeads, ...]:
    """The `count` heads of the lowest scores, over all layers; the last head of a layer goes only when no other can."""
    heads = [(score, layer, head) for layer, each in scores.items() for head, score in enumerate(each)]
    best = {layer: max(range(len(each)), key=lambda head: each[head]) for layer, each in scores.items()}
    order = sorted(heads, key=lambda one: (one[2] == best[one[1]], one))
    gone: dict[int, list[int]] = {}
    for _, layer, head in order[:count]:
        gone.setdefault(layer, []).append(head)
    return tuple(RemoveHeads(layer, tuple(sorted(gone[layer]))) for layer in sorted(gone))


def least_units(scores: Scores, wish: str) -> tuple[RemoveUnits, ...]:
    """Of each layer the units of the lowest scores, so that all layers stay alike.

    Raises: UsageError where a layer would lose all.
    """
    changes = []
    for layer, each in sorted(scores.items()):
        count = amount(wish, len(each), "units")
        if count == len(each):
            raise UsageError(f"--units {wish} leaves layer {layer} no unit; leave one, or drop layers with --layers")
        order = sorted(range(len(each)), key=lambda unit: (each[unit], unit))
        changes.append(RemoveUnits(layer, tuple(sorted(order[:count]))))
    return tuple(changes)
