"""Checks of the texts: empty, garbled, repeated, contradictory, in two splits, longer than the limit."""

import re
from collections.abc import Iterator, Sequence
from itertools import combinations

from attnkit.data.examples import Example
from attnkit.data.finding import Finding, counted, finding, split_words

MANY_CUT = 0.1
# UTF-8 that was read as Latin-1 or Windows-1252 and written again: "Ã©" for "é", "â€™" for an apostrophe.
_GARBLED = re.compile("\ufffd|Ã[\u0080-\u00bf]|â€[™œ\u009d“”˜¦]|Â[\u00a0-\u00bf]")


def check_texts(splits: dict[str, list[Example]]) -> Iterator[Finding]:
    """Findings within each split, then between each two."""
    for name, examples in splits.items():
        yield from _within(name, examples)
    for first, second in combinations(splits, 2):
        yield from _between(first, splits[first], second, splits[second])


def check_lengths(
    splits: dict[str, list[Example]], counts_of: dict[str, Sequence[int]], limit: int, unit: str = "tokens"
) -> Iterator[Finding]:
    """How many texts of each split the limit cuts, where they stand, and how long the longest is, in `unit`."""
    for name, counts in counts_of.items():
        cut = [example for example, count in zip(splits[name], counts, strict=True) if count > limit]
        if cut:
            share = len(cut) / len(counts)
            texts = counted(len(cut), "text", "texts") + f" of {split_words(name)} ({100 * share:.1f} %)"
            verb = "is" if len(cut) == 1 else "are"
            yield finding(
                "warning" if share > MANY_CUT else "note",
                f"{texts} {verb} cut to {limit:,} {unit}, the longest from {max(counts):,}",
                cut,
                "raise the limit if the ends of texts matter" if share > MANY_CUT else "",
            )


def _within(name: str, examples: list[Example]) -> Iterator[Finding]:
    empty = [example for example in examples if not _is_filled(example)]
    if empty:
        statement = f"{counted(len(empty), 'row', 'rows')} of {split_words(name)} {_have(empty)} an empty text"
        yield finding("warning", statement, empty, "fill or remove them")
    garbled = [example for example in examples if _GARBLED.search(f"{example.text}\n{example.pair or ''}")]
    if garbled:
        statement = (
            f"{counted(len(garbled), 'text', 'texts')} of {split_words(name)} {_have(garbled)} garbled characters"
        )
        yield finding("warning", statement, garbled, "read the source again with its right encoding")
    first: dict[tuple[str, str | None], Example] = {}
    repeated: list[Example] = []
    contrary: list[Example] = []
    for example in examples:
        if not _is_filled(example):
            continue
        earlier = first.setdefault(example.content, example)
        if earlier is not example:
            (repeated if earlier.label == example.label else contrary).append(example)
    if repeated:
        statement = f"{counted(len(repeated), 'row', 'rows')} of {split_words(name)} {_verb(repeated)} an earlier row"
        yield finding("warning", statement, repeated, "remove them if they are there by mistake")
    if contrary:
        rows = f"{counted(len(contrary), 'row', 'rows')} of {split_words(name)}"
        statement = f"{rows} {_have(contrary)} the text of an earlier row and another label"
        yield finding("warning", statement, contrary, "decide which label is right")


def _between(first: str, examples: list[Example], second: str, others: list[Example]) -> Iterator[Finding]:
    contents = {example.content for example in others if _is_filled(example)}
    shared = [example for example in examples if example.content in contents]
    if shared:
        statement = (
            f"{counted(len(shared), 'row', 'rows')} of {split_words(first)} {_have(shared)} a text that also stands in "
            f"{split_words(second)}"
        )
        drops = first == "train"
        yield finding("warning", statement, shared, "training leaves them out" if drops else "remove them from one")


def _is_filled(example: Example) -> bool:
    return bool(example.text.strip()) and (example.pair is None or bool(example.pair.strip()))


def _have(examples: Sequence[Example]) -> str:
    return "has" if len(examples) == 1 else "have"


def _verb(examples: Sequence[Example]) -> str:
    return "repeats" if len(examples) == 1 else "repeat"
