"""banded: local patterns as strided blocks give the reference's numbers, whatever is cut short, hidden or global."""

from collections.abc import Iterator

import pytest
import torch

import attnkit.kernels.banded.kernel as banded_kernel
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import (
    Anchors,
    Causal,
    Dilated,
    Full,
    Neighbours2D,
    Prefix,
    Segments,
    Window,
)
from attnkit.attention.pattern.base import Pattern
from attnkit.attention.position import Alibi, ClippedBias, NoPosition, RelativeBias, Rotary
from attnkit.attention.position.base import Position
from attnkit.attention.score import Additive, Cosine, Dot, Euclidean, General, ScaledDot
from attnkit.attention.where import Where
from attnkit.kernels import Situation, attend, native, plan
from attnkit.kernels.banded import window
from attnkit.kernels.banded.blocks import Blocks
from attnkit.kernels.banded.local import local
from attnkit.kernels.banded.pieces import anchor_pieces, pieces
from attnkit.kernels.banded.window import Tiled
from tests.kernels.agree import agrees, draw, holes, results, shaken_params

PATTERNS: list[Pattern] = [
    Window(1),
    Window(5, causal=True),
    Window(6),
    Window(40, causal=True),
    Dilated(5, dilation=3),
    Dilated(4, dilation=2, causal=True),
    Dilated(3, dilation=4) | Dilated(3, dilation=6),
    Segments(width_tokens=7),
    Segments(width_tokens=150) & Causal(),
    Neighbours2D(columns=6, radius=1),
    Neighbours2D(columns=5, radius=2) & Causal(),
    Window(20) & ~Window(4),
    Window(9) | Anchors(3),
    (Window(9) | Anchors(3)) & Causal(),
    Window(9, causal=True) | (Anchors(2) & Causal()),
    Dilated(5, dilation=3) | Anchors(4),
    Anchors(2) | Segments(width_tokens=16),
]
SIZES = [(1, 1), (5, 5), (70, 70), (203, 203), (20, 100), (100, 60), (1, 50)]


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize(("T", "S"), SIZES)
def test_patterns_of_every_length_with_and_without_padding(pattern: Pattern, T: int, S: int) -> None:
    spec = Pairwise(pattern=pattern)
    agrees(spec, "banded", T, S)
    agrees(spec, "banded", T, S, keep=holes(2, S), query_keep=holes(2, T, seed=4))


@pytest.mark.parametrize("position", [Rotary(), Alibi(), RelativeBias(num_buckets=8), ClippedBias(4)], ids=str)
@pytest.mark.parametrize("pattern", [Window(7), Dilated(3, 2, causal=True), Window(5) | Anchors(2)], ids=str)
def test_positions_inside_local_patterns(pattern: Pattern, position: Position) -> None:
    spec = Pairwise(pattern=pattern, position=position)
    for T, S in ((77, 77), (30, 50)):
        agrees(spec, "banded", T, S, frozen=True)
        agrees(spec, "banded", T, S, keep=holes(2, S), frozen=True)


@pytest.mark.parametrize("score", [Dot(), ScaledDot(0.3), General(), Cosine(), Cosine(5.0), Euclidean()], ids=str)
def test_scores_that_are_products(score: Dot) -> None:
    agrees(Pairwise(score=score, pattern=Window(7) | Anchors(1)), "banded", 45, 45, H=4, G=2, D=6, E=10)


def test_many_blocks_in_several_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnkit.kernels.banded.blocks._NUMBERS_A_CALL", 10_000)
    for pattern in (Window(40, causal=True), Neighbours2D(5, 2) | Anchors(3)):
        agrees(Pairwise(pattern=pattern), "banded", 601, 601, keep=holes(2, 601), G=2)


def test_anchors_beyond_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnkit.kernels.banded.pieces._MOST", 16)
    pieces.cache_clear()
    anchor_pieces.cache_clear()
    keep = holes(2, 90)
    agrees(Pairwise(pattern=Window(9) | Anchors(20), position=Alibi()), "banded", 90, 90, keep=keep)
    keep[0, :20] = False
    agrees(Pairwise(pattern=(Window(9) | Anchors(40)) & Causal()), "banded", 90, 90, keep=keep)
    pieces.cache_clear()
    anchor_pieces.cache_clear()


def test_anchors_alone_are_seen_where_all_of_the_band_is_padding() -> None:
    keep = torch.ones(2, 90, dtype=torch.bool)
    keep[0, 20:60] = False
    keep[1, :2] = False
    for pattern in (Window(5) | Anchors(2), (Window(5) | Anchors(2)) & Causal()):
        agrees(Pairwise(pattern=pattern), "banded", 90, 90, keep=keep)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize(("T", "S"), SIZES)
@pytest.mark.parametrize("overhead", [0, 60])
def test_each_pair_that_may_meet_is_in_exactly_one_piece(pattern: Pattern, T: int, S: int, overhead: int) -> None:
    found = local(pattern)
    assert found is not None
    met = torch.zeros(T, S, dtype=torch.int64)
    for piece in pieces(found, T, S, overhead):
        for block in range(piece.count):
            rows = piece.query + block * piece.step + piece.stride * torch.arange(piece.rows)
            columns = piece.key + block * piece.step + piece.stride * torch.arange(piece.columns)
            there = Where(rows + S - T, columns)
            met[rows[:, None], columns] += piece.pattern.allowed(there.i, there.j, there)[0, 0]
    where = Where.of(T, S)
    assert torch.equal(met, pattern.allowed(where.i, where.j, where)[0, 0].long())


def test_a_row_that_sees_nothing_is_zero_with_zero_gradient() -> None:
    q, k, v = draw(0, 90, 90, dtype=torch.float32)
    keep = torch.ones(2, 90, dtype=torch.bool)
    keep[0, 20:60] = False
    keep[1] = False
    for pattern in (Window(5, causal=True), Dilated(3, 4, causal=True), Segments(width_tokens=10)):
        out = attend(q, k, v, Pairwise(pattern=pattern), keep=keep, kernel="banded")
        assert torch.equal(out[0, :, 30:60], torch.zeros_like(out[0, :, 30:60]))
        assert torch.equal(out[1], torch.zeros_like(out[1]))
        d_q, d_k, d_v = torch.autograd.grad(out.square().sum(), (q, k, v))
        for gradient in (d_q, d_k, d_v):
            assert torch.isfinite(gradient).all()
            assert torch.equal(gradient[1], torch.zeros_like(gradient[1]))
        assert torch.equal(d_q[0, :, 30:60], torch.zeros_like(d_q[0, :, 30:60]))
        assert torch.equal(d_k[0, :, 20:60], torch.zeros_like(d_k[0, :, 20:60]))


@pytest.mark.parametrize("pattern", [Window(6), Dilated(3, 2), (Window(5) | Anchors(2)) & Causal()], ids=str)
def test_double_backward(pattern: Pattern) -> None:
    q, k, v = (x[:1, :1, :, :3].detach().requires_grad_() for x in draw(0, 40, 40))
    spec = Pairwise(pattern=pattern, position=Alibi())
    keep = holes(2, 40)[:1]

    def run(*inputs: torch.Tensor) -> torch.Tensor:
        return attend(*inputs, spec, keep=keep, kernel="banded")

    assert torch.autograd.gradcheck(run, (q, k, v))
    gradients = []
    for kernel in ("banded", "reference"):
        out = attend(q, k, v, spec, keep=keep, kernel=kernel)
        first = torch.autograd.grad(out.pow(3).sum(), (q, k, v), create_graph=True)
        gradients.append(torch.autograd.grad(sum(x.square().sum() for x in first), (q, k, v)))
    for got, expected in zip(*gradients, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("pattern", [Window(40, causal=True), Window(9) | Anchors(3)], ids=str)
def test_without_the_fused_operator_the_blocks_are_composed(pattern: Pattern, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*inputs: object) -> None:
        raise AssertionError("the fused operator was called")

    monkeypatch.setattr(banded_kernel, "needs_fused_operator", lambda situation: "there is none")
    monkeypatch.setattr(Blocks, "apply", never)
    agrees(Pairwise(pattern=pattern), "banded", 77, 77)
    agrees(Pairwise(pattern=pattern), "banded", 30, 77, keep=holes(2, 77), G=2, E=5)


def test_the_fused_operator_takes_overlapping_views_and_says_zero_where_nothing_is_seen() -> None:
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    x = torch.randn(1, 60, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    blocks = x.as_strided((5, 1, 20, 8), (80, 480, 8, 1))
    mask = torch.zeros(1, 1, 20, 20, dtype=torch.float64)
    mask[..., 3, :] = float("-inf")
    out, log_sum = fused(blocks, blocks, blocks, 0.0, False, attn_mask=mask, scale=0.5)
    scores = 0.5 * blocks @ blocks.transpose(-1, -2)
    expected = (torch.softmax(scores, -1) @ blocks).index_fill(2, torch.tensor(3), 0.0)
    torch.testing.assert_close(out, expected)
    torch.testing.assert_close(log_sum, scores.logsumexp(-1).index_fill(2, torch.tensor(3), 0.0))


@pytest.mark.parametrize("pattern", [Window(40, causal=True), Window(9) | Anchors(3), Dilated(5, 3)], ids=str)
def test_float32_within_twice_the_error_of_a_plain_reference(pattern: Pattern) -> None:
    spec = Pairwise(pattern=pattern)
    doubles = draw(0, 300, 300, D=32, E=32)
    floats = tuple(x.detach().float().requires_grad_() for x in doubles)
    exact = results(spec, doubles, {}, "reference", None)
    plain = results(spec, floats, {}, "reference", None)
    got = results(spec, floats, {}, "banded", None)
    for e, p, g in zip(exact, plain, got, strict=True):
        assert (g - e).square().mean().sqrt() <= 2 * (p - e).square().mean().sqrt()


@pytest.mark.parametrize("pattern", [Window(40, causal=True), Window(9) | Anchors(3)], ids=str)
def test_bfloat16_and_autocast_within_their_budget(pattern: Pattern) -> None:
    spec = Pairwise(pattern=pattern)
    low = draw(0, 150, 150, D=16, E=16, dtype=torch.bfloat16)
    doubles = tuple(x.detach().double().requires_grad_() for x in low)
    exact = results(spec, doubles, {}, "reference", None)
    got = results(spec, low, {}, "banded", None)
    for e, g in zip(exact, got, strict=True):
        assert g.dtype == torch.bfloat16
        torch.testing.assert_close(g.double(), e, rtol=0.03, atol=0.06)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = attend(*(x.detach().float() for x in low), spec, kernel="banded")
    torch.testing.assert_close(out.double(), exact[0], rtol=0.03, atol=0.06)


def test_layouts_of_memory_do_not_matter() -> None:
    spec = Pairwise(pattern=Window(9, causal=True))
    q, k, v = (x.detach() for x in draw(0, 70, 70))
    expected = attend(q, k, v, spec, kernel="banded")
    heads_last = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v))
    widths_first = (x.transpose(1, 3).contiguous().transpose(1, 3) for x in (q, k, v))
    for inputs in (heads_last, widths_first):
        torch.testing.assert_close(attend(*inputs, spec, kernel="banded"), expected)
    one_key = k[:, :, :1].expand_as(k)
    torch.testing.assert_close(attend(q, one_key, v, spec, kernel="banded"), attend(q, one_key.clone(), v, spec))


def _situation(T: int, **changes: object) -> Situation:
    q, k, v = draw(0, T, T, B=1, D=64, E=64, dtype=torch.float32)
    return Situation.of(q, k, v, Where.of(T, T), **changes)  # type: ignore[arg-type]


def test_it_is_planned_where_the_band_is_narrow_and_passed_over_with_a_reason_elsewhere() -> None:
    narrow = Pairwise(pattern=Window(64, causal=True))
    assert plan(narrow, _situation(2048, needs_grad=True)).kernel.name == "banded"
    short = plan(Pairwise(pattern=Neighbours2D(8, radius=4)), _situation(64))
    assert short.kernel.name != "banded"
    assert "its blocks cost" in str(short)
    for pattern in (Full(), Causal(), Prefix(3), Segments(count=3), Window(3) & Anchors(1), Anchors(2)):
        with pytest.raises(ValueError, match="is not a band"):
            plan(Pairwise(pattern=pattern), _situation(64), "banded")


@pytest.mark.parametrize(
    ("spec", "changes", "reason"),
    [
        (Pairwise(pattern=Window(4), position=Alibi(learned=True)), {"learns": True}, "learns"),
        (Pairwise(score=Additive(4), pattern=Window(4)), {}, "Additive is not a dot product"),
        (Pairwise(pattern=Window(4)), {"dropout": 0.1}, "dropout"),
        (Pairwise(pattern=Window(4)), {"intent": "export"}, "exported graph"),
    ],
    ids=str,
)
def test_what_it_cannot_do_it_refuses(spec: Pairwise, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ValueError, match=f"kernel 'banded' cannot compute this: .*{reason}"):
        plan(spec, _situation(64, **changes), "banded")


def test_given_positions_are_refused() -> None:
    q, k, v = draw(0, 5, 5)
    where = Where.of(5, 5, query_position=torch.tensor([0, 1, 2, 3, 7]))
    with pytest.raises(ValueError, match="positions are not the default ones"):
        attend(q, k, v, Pairwise(pattern=Window(3)), where=where, kernel="banded")


def test_the_cost_is_linear_in_the_length() -> None:
    spec = Pairwise(pattern=Window(64) | Anchors(8), position=NoPosition())
    costs = [plan(spec, _situation(T, needs_grad=True), "banded").cost for T in (4096, 8192)]
    assert costs[0] is not None
    assert costs[1] is not None
    assert costs[1].multiply_adds < 2.1 * costs[0].multiply_adds
    assert costs[1].peak_bytes < 2.1 * costs[0].peak_bytes
    assert costs[1].map_bytes == 0


def test_a_frozen_table_is_given_to_the_blocks_and_a_learned_one_is_not() -> None:
    spec = Pairwise(pattern=Window(5), position=ClippedBias(3))
    q, k, v = draw(0, 30, 30)
    params = shaken_params(spec, 4, 8, 8)
    with pytest.raises(ValueError, match="learns"):
        attend(q, k, v, spec, params=params, kernel="banded")
    with torch.no_grad():
        got = attend(q, k, v, spec, params=params, kernel="banded")
        torch.testing.assert_close(got, attend(q, k, v, spec, params=params, kernel="reference"))


LOCAL = [
    Window(1),
    Window(40, causal=True),
    Window(9),
    Window(20) & ~Window(4),
    Dilated(5, dilation=3),
    Window(9) | Anchors(3),
    (Dilated(5, dilation=3) | Anchors(4)) & Causal(),
]


@pytest.fixture(params=[0, 1, 2])
def instructions(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each level of instructions that this processor has."""
    found = native.library()
    if found is None or not found.attnkit_use_level(request.param):
        pytest.skip("not to be had here")
    yield
    found.attnkit_use_level(0)


@pytest.mark.usefixtures("instructions")
@pytest.mark.parametrize("pattern", LOCAL, ids=str)
@pytest.mark.parametrize(("T", "S"), [(1, 1), (5, 5), (37, 37), (300, 300), (20, 100), (100, 60)])
@pytest.mark.parametrize("width", [16, 48])
def test_the_native_window_gives_the_same_numbers(pattern: Pattern, T: int, S: int, width: int) -> None:
    for position in (NoPosition(), Alibi()):
        spec = Pairwise(pattern=pattern, position=position)
        exact = draw(0, T, S, H=3, G=1, D=width, E=width)
        low = tuple(x.detach().float().requires_grad_() for x in exact)
        for keep in (None, holes(2, S)):
            where = Where.of(T, S, keep=keep)
            expected = results(spec, exact, {}, "reference", where)
            got = results(spec, low, {}, "banded", where)
            for one, other in zip(expected, got, strict=True):
                torch.testing.assert_close(other.double(), one, rtol=1e-4, atol=2e-5)


def test_the_native_window_is_used_and_the_blocks_without_it_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    if native.library() is None:
        pytest.skip(str(native.reason()))
    calls = []
    forward = Tiled.forward
    monkeypatch.setattr(Tiled, "forward", lambda self, *given: (calls.append(self), forward(self, *given)))
    inputs = draw(0, 150, 150, D=32, E=32, dtype=torch.float32)
    for pattern in (Window(20), Dilated(4, 2), Window(9) | Anchors(3)):
        spec = Pairwise(pattern=pattern, position=Alibi())
        got = results(spec, inputs, {}, "banded", None)
        assert calls.pop().local.pattern == pattern
        with native.without_native():
            expected = results(spec, inputs, {}, "banded", None)
        assert not calls
        for one, other in zip(expected, got, strict=True):
            torch.testing.assert_close(other, one, rtol=1e-4, atol=2e-5)


def test_native_threads_change_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Pairwise(pattern=Window(64))
    inputs = draw(0, 700, 700, D=32, E=32, dtype=torch.float32)
    results_of = []
    for count in (1, 3):
        monkeypatch.setattr(window, "threads", lambda count=count: count)
        results_of.append(results(spec, inputs, {}, "banded", None))
    for one, other in zip(*results_of, strict=True):
        assert torch.equal(one, other)
