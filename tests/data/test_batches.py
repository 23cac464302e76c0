"""Batches: every row once, like lengths together, padding after the end and marked."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnkit.data.batches import bucket_batches, collate, padded_width


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(st.lists(st.integers(0, 99), max_size=200), st.integers(1, 17), st.booleans())
def test_every_row_stands_in_exactly_one_batch(lengths: list[int], batch_rows: int, shuffle: bool) -> None:
    batches = bucket_batches(lengths, batch_rows, seeded(1), shuffle)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    full = [batch for batch in batches if len(batch) == batch_rows]
    assert len(batches) - len(full) <= 1 and all(batches)


def test_rows_of_like_length_are_together() -> None:
    lengths = torch.randint(1, 1000, (3200,), generator=seeded(0)).tolist()

    def padded(batches: list[list[int]]) -> int:
        return sum(len(batch) * max(lengths[row] for row in batch) for batch in batches)

    real = sum(lengths)
    assert padded(bucket_batches(lengths, 32, seeded(1))) < 1.06 * real
    assert padded(bucket_batches(lengths, 32, shuffle=False)) < 1.03 * real
    assert padded([list(range(start, start + 32)) for start in range(0, 3200, 32)]) > 1.7 * real


def test_the_draw_is_that_of_the_generator() -> None:
    lengths = list(range(300))
    first, again, other = (bucket_batches(lengths, 8, seeded(seed)) for seed in (1, 1, 2))
    assert first == again != other
    generator = seeded(1)
    epochs = [bucket_batches(lengths, 8, generator) for _ in range(2)]
    assert epochs[0] == first and epochs[1] != first
    means = [sum(lengths[row] for row in batch) for batch in first]
    assert means != sorted(means)


def test_without_shuffling_rows_are_in_order_of_length_and_draw_nothing() -> None:
    generator = seeded(1)
    before = generator.get_state()
    assert bucket_batches([3, 1, 2, 1], 2, generator, shuffle=False) == [[1, 3], [2, 0]]
    assert torch.equal(generator.get_state(), before)


def test_batch_rows_must_be_positive() -> None:
    with pytest.raises(ValueError, match="batch_rows must be at least 1 and is 0"):
        bucket_batches([1], 0)


def test_collate_pads_behind_and_marks_what_is_real() -> None:
    ids, keep = collate([[5, 6, 7], [], [8]])
    assert ids.dtype == torch.int64 and keep.dtype == torch.bool
    assert ids.tolist() == [[5, 6, 7], [0, 0, 0], [8, 0, 0]]
    assert keep.tolist() == [[True] * 3, [False] * 3, [True, False, False]]


def test_a_batch_of_empty_texts_has_one_column_of_padding() -> None:
    ids, keep = collate([[], []])
    assert ids.tolist() == [[0], [0]] and not keep.any()
    assert collate([])[0].shape == (0, 1)


def test_widths_are_rounded_to_few_sizes_and_by_at_most_an_eighth() -> None:
    widths = [padded_width(longest) for longest in range(1, 2001)]
    assert all(longest <= width <= longest * 9 / 8 for longest, width in enumerate(widths, start=1))
    assert widths[:16] == list(range(1, 17))
    assert len(set(widths)) == 72
    assert padded_width(0) == 1
    assert collate([[7] * 100, [7]])[0].shape == (2, 104)
