"""Plans of batches: each row once an epoch, budgets kept, sizes as they are asked for, and the number of steps told."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnkit.data.batch_plan import BatchPlan
from attnkit.data.batches import bucket_batches, collate, pack, random_batches

LENGTHS = [1 + (37 * row) % 61 for row in range(500)]


def padded_tokens(plan: BatchPlan, batch: list[int]) -> int:
    """Numbers that a batch holds, padding counted, as it is put together for a model."""
    texts = [[1] * plan.lengths[row] for row in batch]
    return (pack(texts) if plan.packed else collate(texts))[0].numel()


@given(
    lengths=st.lists(st.integers(0, 99), min_size=1, max_size=150),
    rows=st.integers(1, 17),
    packed=st.booleans(),
    drawn=st.booleans(),
    tokens=st.sampled_from([0, 104, 1000]),
    growth=st.sampled_from([1.0, 1.5, 16.0]),
    mix=st.sampled_from([(), (3, 9), (1, 1, 40)]),
    epoch=st.integers(0, 5),
)
def test_every_row_stands_in_one_batch_and_batches_are_counted(
    lengths: list[int],
    rows: int,
    packed: bool,
    drawn: bool,
    tokens: int,
    growth: float,
    mix: tuple[int, ...],
    epoch: int,
) -> None:
    plan = BatchPlan(lengths, rows, 3, packed, tokens, growth, mix, drawn)
    batches = plan.batches(epoch)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    assert all(batches) and batches == plan.batches(epoch)
    assert plan.count(epoch) == len(batches)
    most = max(mix or (rows,)) * growth**epoch
    assert max(map(len, batches)) <= round(most)
    if tokens:
        assert max(padded_tokens(plan, batch) for batch in batches) <= tokens * growth**epoch


def test_plain_plans_are_what_they_were() -> None:
    generators = [torch.Generator().manual_seed(5 * 1_000_003 + 2) for _ in range(2)]
    assert BatchPlan(LENGTHS, 8, 5).batches(2) == bucket_batches(LENGTHS, 8, generators[0])
    assert BatchPlan(LENGTHS, 8, 5, packed=True).batches(2) == BatchPlan(LENGTHS, 8, 5).batches(2)
    assert BatchPlan(LENGTHS, 8, 5, packed=True, drawn=True).batches(2) == random_batches(LENGTHS, 8, generators[1])


@pytest.mark.parametrize(("packed", "drawn"), [(True, True), (True, False), (False, False)])
def test_a_budget_is_used_and_rows_are_the_most(packed: bool, drawn: bool) -> None:
    plan = BatchPlan(LENGTHS, 1000, 0, packed, tokens=640, drawn=drawn)
    used = [padded_tokens(plan, batch) for batch in plan.batches(0)]
    assert max(used) <= 640 and sum(used) / len(used) > 0.7 * 640
    few = BatchPlan(LENGTHS, 4, 0, packed, tokens=640, drawn=drawn)
    assert {len(batch) for batch in few.batches(0)} <= {1, 2, 3, 4}
    if not drawn:
        spread = [max(LENGTHS[row] for row in batch) - min(LENGTHS[row] for row in batch) for batch in plan.batches(0)]
        assert sorted(spread)[len(spread) // 2] < 8


def test_sizes_are_drawn_from_the_mix_and_grow() -> None:
    plan = BatchPlan(LENGTHS, 1, 0, mix=(4, 16))
    sizes = [len(batch) for batch in plan.batches(0)]
    assert min(sizes.count(4), sizes.count(16)) > 5 and sizes.count(4) + sizes.count(16) >= len(sizes) - 3
    assert [len(batch) for batch in BatchPlan(LENGTHS, 1, 1, mix=(4, 16)).batches(0)] != sizes
    growing = BatchPlan(LENGTHS, 8, growth=2.0)
    assert [max(map(len, growing.batches(epoch))) for epoch in range(4)] == [8, 16, 32, 64]
    assert {len(batch) for batch in BatchPlan(LENGTHS, 1, 1, growth=2.0, mix=(4, 16)).batches(1)} >= {8, 32}


def test_steps_are_the_batches_of_all_epochs() -> None:
    for plan in (
        BatchPlan(LENGTHS, 8),
        BatchPlan(LENGTHS, 8, growth=1.7),
        BatchPlan(LENGTHS, 8, mix=(4, 16)),
        BatchPlan(LENGTHS, 99, tokens=640),
    ):
        assert plan.steps(5) == sum(len(plan.batches(epoch)) for epoch in range(5))
    assert BatchPlan(LENGTHS, 8).steps(1_000_000) == 63_000_000
    growing = BatchPlan(LENGTHS, 8, growth=2.0).steps(1_000_000)
    assert growing == sum(len(BatchPlan(LENGTHS, 8, growth=2.0).batches(epoch)) for epoch in range(10)) + 999_990
    mixed = BatchPlan(LENGTHS, 8, mix=(4, 16))
    assert mixed.steps(1000) == pytest.approx(10 * mixed.steps(100), rel=1e-3)


def test_what_no_batch_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="a batch of 40 tokens does not hold the longest text, which takes 64"):
        BatchPlan(LENGTHS, 8, tokens=40)
    with pytest.raises(ValueError, match="at least 1 row, and 0 is asked for"):
        BatchPlan(LENGTHS, 8, mix=(4, 0))
    with pytest.raises(ValueError, match="at least 1 row"):
        BatchPlan(LENGTHS, 0)
