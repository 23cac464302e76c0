"""Folds: the share of rows that each takes for its validation."""

import pytest

from attnkit.data.examples import Example
from attnkit.train.cross_validation import fold_splits


@pytest.mark.parametrize(("share", "rows"), [(0.1, 12), (0.25, 30), (0.4, 48), (0.7, 84), (0.001, 1)])
def test_a_fold_takes_the_wanted_share_for_validation(share: float, rows: int) -> None:
    examples = [Example(f"text {n}", None, "ab"[n % 2], "data.csv", n) for n in range(150)]
    rest, held = examples[:120], examples[120:]
    splits = fold_splits(rest, held, share, seed=0)
    assert len(splits.validation) == rows and splits.test == held
    assert sorted([*splits.train, *splits.validation], key=lambda one: one.line) == rest
    counts = [sum(one.label == label for one in splits.validation) for label in "ab"]
    assert abs(counts[0] - counts[1]) <= 1
