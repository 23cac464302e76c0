"""What to know about the data before training on it: every finding with its file and line."""

from collections.abc import Sequence

from attnkit.data.check_labels import check_labels
from attnkit.data.check_texts import check_lengths, check_texts
from attnkit.data.examples import Example
from attnkit.data.finding import LEVELS, Finding
from attnkit.data.schema import Schema

__all__ = ["Finding", "check"]


def check(
    splits: dict[str, list[Example]],
    schema: Schema,
    token_counts: dict[str, Sequence[int]] | None = None,
    max_tokens: int | None = None,
) -> list[Finding]:
    """The findings about these splits, errors first; training is pointless or impossible where there is an error.

    `token_counts` holds the untruncated number of tokens of each example by split, to say how many `max_tokens` cuts.
    Raises: ValueError where `token_counts` does not match the examples.
    """
    found = [*check_labels(splits, schema), *check_texts(splits)]
    if token_counts is not None and max_tokens is not None:
        found.extend(check_lengths(splits, token_counts, max_tokens))
    return sorted(found, key=lambda entry: LEVELS.index(entry.level))
