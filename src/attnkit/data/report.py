"""A report on data before anything is trained on it: what its columns mean, its rows and labels, and every finding."""

import os
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from attnkit.data.check import Finding, check
from attnkit.data.examples import Example, to_examples
from attnkit.data.readers import read
from attnkit.data.schema import Schema, infer_schema
from attnkit.data.tokens import fit, kind_for


@dataclass(frozen=True)
class SplitReport:
    """One split: its rows, rows a class, and tokens of its texts (median and longest)."""

    name: str
    rows: int
    labels: dict[str, int]
    median_tokens: int
    longest_tokens: int


@dataclass(frozen=True)
class DataReport:
    """What `attn check` shows; `tokenizer` is the kind by which tokens were counted."""

    schema: Schema
    splits: tuple[SplitReport, ...]
    findings: tuple[Finding, ...]
    tokenizer: str

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that keep training from starting."""
        return tuple(finding for finding in self.findings if finding.level == "error")

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "sound": not self.errors,
            "schema": self.schema.to_dict(),
            "splits": [asdict(split) for split in self.splits],
            "findings": [asdict(finding) for finding in self.findings],
            "tokenizer": self.tokenizer,
        }


def report(
    path: str | os.PathLike[str],
    text: str | None = None,
    label: str | None = None,
    kind: str | None = None,
    pair: str | None = None,
    max_tokens: int | None = None,
) -> DataReport:
    """Read, understand and check the data at `path`; with `max_tokens`, say how many texts that limit would cut.

    Raises: UsageError where it cannot be read or understood.
    """
    tables = read(path)
    schema = infer_schema(tables, text=text, label=label, kind=kind, pair=pair)
    splits = {name: to_examples(table, schema) for name, table in tables.items()}
    texts = {name: [_whole(example) for example in examples] for name, examples in splits.items()}
    everything = [one for held in texts.values() for one in held]
    tokenizer = kind_for(everything)
    counts = {name: [0] * len(held) for name, held in texts.items()}
    if any(one.strip() for one in everything):
        # Counting needs where words end, not which words are known; so one small vocabulary serves.
        counter = fit(tokenizer, everything[:1000], vocabulary_size=1000, min_count=1)
        counts = {name: [len(ids) for ids in counter.encode_all(held)] for name, held in texts.items()}
    findings = check(splits, schema, token_counts=dict(counts), max_tokens=max_tokens)
    parts = tuple(_split(name, examples, counts[name]) for name, examples in splits.items())
    return DataReport(schema, parts, tuple(findings), tokenizer)


def _whole(example: Example) -> str:
    return example.text if example.pair is None else f"{example.text} {example.pair}"


def _split(name: str, examples: list[Example], counts: Sequence[int]) -> SplitReport:
    labels: Counter[str] = Counter()
    for example in examples:
        if isinstance(example.label, tuple):
            labels.update(example.label)
        elif isinstance(example.label, str):
            labels[example.label] += 1
    median = int(statistics.median(counts)) if counts else 0
    return SplitReport(name, len(examples), dict(sorted(labels.items())), median, max(counts, default=0))
