"""Settings at the edge of what is allowed, and which part takes a promise away."""

import pytest

from attnkit.attention.combine import Then
from attnkit.attention.heads import HeadLayout
from attnkit.attention.normalizer import Sigmoid
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Documents
from attnkit.attention.position import Alibi, ClippedBias, Learned, RelativeBias
from attnkit.attention.refine import Convolution, HeadGate, TalkingHeads
from attnkit.attention.score import Location


def test_the_smallest_settings_are_allowed() -> None:
    layout = HeadLayout(heads=1, width=1, key_heads=1, value_width=1)
    assert (layout.G, layout.E) == (1, 1)
    assert Learned(max_positions=1).max_positions == 1
    assert Location(max_keys=1).max_keys == 1
    assert ClippedBias(max_distance=1).max_distance == 1
    assert RelativeBias(num_buckets=4, max_distance=2).max_distance == 2


@pytest.mark.parametrize(
    ("build", "field"),
    [
        (lambda: HeadLayout(heads=0, width=1), "heads"),
        (lambda: HeadLayout(heads=1, width=0), "width"),
        (lambda: HeadLayout(heads=2, width=1, key_heads=0), "key_heads"),
        (lambda: HeadLayout(heads=2, width=1, value_width=0), "value_width"),
        (lambda: Learned(max_positions=0), "max_positions"),
        (lambda: ClippedBias(max_distance=0), "max_distance"),
    ],
)
def test_one_below_is_refused(build, field: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=field):
        build()


@pytest.mark.parametrize(
    "spec",
    [
        Pairwise(score=Location()),
        Pairwise(position=Alibi()),
        Pairwise(pattern=Causal()),
        Pairwise(refine=(Convolution(),)),
    ],
    ids=str,
)
def test_one_part_that_reads_the_order_is_enough_to_lose_that_promise(spec: Pairwise) -> None:
    assert not spec.claims().order_free
    assert Pairwise().claims().order_free


def test_row_sums_and_sign_need_the_normalizer_and_every_refinement() -> None:
    assert Pairwise().claims().rows_sum_to_one and Pairwise().claims().nonnegative
    assert not Pairwise(normalizer=Sigmoid()).claims().rows_sum_to_one
    assert not Pairwise(refine=(HeadGate(),)).claims().rows_sum_to_one
    assert not Pairwise(refine=(TalkingHeads(),)).claims().nonnegative


def test_a_token_is_in_its_own_document() -> None:
    inside = Pairwise(pattern=Documents())
    assert inside.sees_itself
    assert Then(second=inside, first=inside).claims().rows_sum_to_one
