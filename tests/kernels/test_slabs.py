"""slabs: masks and biases that never stand whole, with the reference's numbers."""

import pytest
import torch

from attnkit.attention.normalizer import Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import (
    Anchors,
    Causal,
    Dilated,
    Documents,
    Fixed,
    Full,
    Neighbours2D,
    Prefix,
    RandomBlocks,
    Segments,
    Strided,
    Window,
)
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.position import Alibi, ClippedBias, RelativeBias, Rotary
from attnkit.attention.score import Cosine, Dot, Euclidean, General, Location, SoftCap
from attnkit.attention.where import Where
from attnkit.kernels import Situation, attend, plan
from attnkit.kernels.partition import partition
from attnkit.kernels.slabs import Slabs
from attnkit.kernels.toeplitz import by_distance_alone, upward_view
from tests.kernels.agree import agrees, draw, holes

PATTERNS: list[Pattern] = [
    Full(),
    Causal(),
    Window(5),
    Window(4, causal=True),
    Dilated(3, dilation=2),
    Strided(3),
    Strided(3, causal=True),
    Fixed(4, 2, causal=True),
    Segments(width_tokens=4),
    Segments(count=3),
    Anchors(2),
    Prefix(3),
    RandomBlocks(2, 2),
    Neighbours2D(columns=3),
    Window(3) | Anchors(1),
    Causal() & Strided(2),
    ~Causal(),
]


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slabs of a few queries, so that short sequences have many."""
    monkeypatch.setattr("attnkit.kernels.slabs.HEIGHTS", (4,))


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("size", [(11, 11), (3, 11), (1, 7), (9, 5)], ids=str)
@pytest.mark.parametrize("position", [None, Alibi()], ids=["unbiased", "alibi"])
def test_slabs_equal_the_reference_for_every_pattern(
    pattern: Pattern, size: tuple[int, int], position: Alibi | None
) -> None:
    spec = Pairwise(pattern=pattern) if position is None else Pairwise(position=position, pattern=pattern)
    agrees(spec, "slabs", *size)
    agrees(spec, "slabs", *size, keep=holes(2, size[1]), query_keep=holes(2, size[0], seed=4))


@pytest.mark.parametrize(
    "spec",
    [
        Pairwise(Dot(), RelativeBias(num_buckets=8, max_distance=10)),
        Pairwise(position=ClippedBias(3), pattern=Window(5, causal=True)),
        Pairwise(position=Alibi(learned=True), pattern=Causal()),
    ],
    ids=str,
)
def test_a_frozen_learned_bias_goes_through_slabs_and_one_that_learns_does_not(spec: Pairwise) -> None:
    agrees(spec, "slabs", 11, 11, frozen=True)
    with pytest.raises(ValueError, match="learns, and the fused kernel gives a bias no gradient"):
        agrees(spec, "slabs", 11, 11)


@pytest.mark.parametrize("score", [Cosine(), Euclidean(), Euclidean(width=0.7), General(), Location(16)], ids=str)
@pytest.mark.parametrize("kernel", ["sdpa", "slabs"])
@pytest.mark.parametrize("pattern", [Full(), Causal()], ids=str)
def test_other_scores_come_down_to_products(score, kernel: str, pattern: Pattern) -> None:  # type: ignore[no-untyped-def]
    agrees(Pairwise(score, pattern=pattern), kernel, 11, 11)
    agrees(Pairwise(score, position=Rotary(), pattern=pattern), kernel, 6, 11, G=2, E=5, keep=holes(2, 11))
    agrees(Pairwise(score, pattern=pattern), kernel, 6, 11, E=13)


def test_documents_and_positions_that_are_given_are_read() -> None:
    ids = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 1, 1, 1, 1, 1, 3, 3, 3]])
    where = Where.of(9, 9, query_document=ids, key_document=ids)
    agrees(Pairwise(pattern=Documents() & Causal()), "slabs", 9, 9, where=where)
    positions = torch.tensor([8, 1, 5, 0, 2, 7, 3, 6, 4])
    where = Where.of(9, 9, query_position=positions, key_position=positions)
    agrees(Pairwise(pattern=Window(4, causal=True)), "slabs", 9, 9, where=where)
    with pytest.raises(ValueError, match="distance alone does not tell"):
        agrees(Pairwise(position=Alibi()), "slabs", 9, 9, where=where)


def test_second_derivatives_are_right() -> None:
    q, k, v = draw(0, 5, 6, B=1, H=2, G=2, D=3, E=3)
    spec = Pairwise(position=Alibi(), pattern=Causal())
    torch.autograd.gradgradcheck(lambda *x: attend(*x, spec, kernel="slabs"), (q, k, v), atol=1e-6)


def test_offsets_of_fifty_leave_the_euclidean_score_within_twice_the_reference() -> None:
    q, k, v = (x.detach() for x in draw(0, 64, 64, D=16, E=16))
    q, k = q + 50.0, k + 50.0
    spec = Pairwise(Euclidean(width=2.0))
    truth = attend(q.float().double(), k.float().double(), v.float().double(), spec, kernel="reference")
    errors = {}
    for kernel in ("reference", "sdpa", "slabs"):
        out = attend(q.float(), k.float(), v.float(), spec, kernel=kernel)
        errors[kernel] = float((out.double() - truth).square().mean().sqrt())
    assert errors["sdpa"] <= 2.0 * errors["reference"] + 1e-7
    assert errors["slabs"] <= 2.0 * errors["reference"] + 1e-7


def test_the_view_of_a_slab_is_the_bias_and_takes_no_memory() -> None:
    T, S = 5, 7
    vector = torch.arange(2 * (S + T - 1), dtype=torch.float32).reshape(2, -1)
    whole = torch.tensor([[[vector[h, j - (t + S - T) + S - 1] for j in range(S)] for t in range(T)] for h in range(2)])
    view = upward_view(vector, T, (1, 4), (2, 6))
    assert torch.equal(view.flip(1), whole[:, 1:4, 2:6])
    assert view.untyped_storage().data_ptr() == vector.untyped_storage().data_ptr()


def test_slabs_leave_out_the_keys_beyond_reach() -> None:
    slabs = partition(Window(4, causal=True), 10, 12, True, heights=(4,))
    assert [(s.start, s.stop, s.first, s.last) for s in slabs] == [(0, 4, 0, 6), (4, 8, 3, 10), (8, 10, 7, 12)]
    assert all(s.first == 0 and s.last == 12 for s in partition(Window(4, causal=True), 10, 12, False, heights=(4,)))
    assert by_distance_alone(~(Causal() | Strided(2)))
    assert not by_distance_alone(Causal() & Segments(width_tokens=4))


def test_what_the_fused_kernel_cannot_do_is_refused_with_the_reason() -> None:
    q, k, v = draw(0, 9, 9)
    for spec, reason in (
        (Pairwise(SoftCap()), "SoftCap is not a dot product"),
        (Pairwise(normalizer=Sparsemax()), "Sparsemax is not the softmax"),
    ):
        with pytest.raises(ValueError, match=reason):
            attend(q, k, v, spec, kernel="slabs")
    with pytest.raises(ValueError, match="dropout falls on weights"):
        attend(q, k, v, kernel="slabs", dropout=0.1)


def test_the_fused_operator_is_where_it_was() -> None:
    """It is private to torch: this says so the day that it moves, and the plan then passes slabs over."""
    q, k, v = draw(0, 4, 4)
    situation = Situation.of(q, k, v, Where.of(4, 4))
    assert Slabs().fits(Pairwise(pattern=Causal()), situation) is None
    chosen = plan(Pairwise(position=Alibi(), pattern=Causal()), situation)
    assert chosen.kernel.name == "slabs"
