"""blocks: bfloat16 by blocks, exact in float64 and within the budget of bfloat16."""

import pytest
import torch
from torch import Tensor

from attnkit.attention.normalizer import Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Window
from attnkit.attention.position import Alibi, Rotary
from attnkit.attention.score import Additive, Cosine
from attnkit.attention.where import Where
from attnkit.kernels import Situation, attend, plan
from attnkit.kernels.blocks import Blocks, _Blocked
from tests.kernels.agree import draw, holes, results

SHAPES = [(37, 37), (5, 37), (37, 29), (1, 9), (16, 16), (1, 1)]


@pytest.fixture(params=[(8, 4, 1), (8, 4, 1 << 11)], ids=["rows", "heads"])
def small_blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of a few queries of one head, or of all queries of a few heads."""
    for name, value in zip(("ROWS", "CAUSAL_ROWS", "BLOCK_NUMBERS"), request.param, strict=True):
        monkeypatch.setattr(f"attnkit.kernels.blocks.{name}", value)


def dense(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    T, S = q.shape[1], k.shape[1]
    allowed = torch.ones(T, S, dtype=torch.bool).tril(S - T) if causal else torch.ones(T, S, dtype=torch.bool)
    scores = (q @ k.mT).masked_fill(~allowed, torch.finfo(q.dtype).min)
    return torch.softmax(scores, dim=-1).masked_fill(~allowed, 0.0) @ v


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("T", "S"), SHAPES)
@pytest.mark.parametrize("causal", [False, True])
def test_blocks_are_exact_where_the_type_is(T: int, S: int, causal: bool) -> None:
    inputs = tuple(x.detach().flatten(0, 1).requires_grad_() for x in draw(0, T, S, H=3, G=3))
    direction = torch.randn(6, T, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    got, expected = _Blocked.apply(*inputs, causal), dense(*inputs, causal)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)
    # Sums of d_k and d_v over blocks are in float32, whatever the inputs.
    for one, other in zip(
        torch.autograd.grad((got * direction).sum(), inputs),
        torch.autograd.grad((expected * direction).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(("T", "S"), [(9, 9), (4, 7), (7, 4)])
def test_second_derivatives(T: int, S: int, causal: bool) -> None:
    inputs = tuple(x.detach()[0].requires_grad_() for x in draw(0, T, S, H=2, G=2, D=3, E=3))
    assert torch.autograd.gradgradcheck(lambda *x: _Blocked.apply(*x, causal), inputs)

    def slopes(out: Tensor) -> tuple[Tensor, ...]:
        return torch.autograd.grad((out.square() + out).sum(), inputs, create_graph=True)

    got, expected = slopes(_Blocked.apply(*inputs, causal)), slopes(dense(*inputs, causal))
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other)


def errors(spec: Pairwise, T: int, S: int, where: Where | None, kernel: str, sharp: float = 1.0) -> list[float]:
    """Root mean square errors of out and the gradients against float64 on the same rounded inputs."""
    q, k, v = (x.detach().bfloat16() for x in draw(0, T, S, G=2, E=6))
    q = q * sharp
    low = tuple(x.requires_grad_() for x in (q, k, v))
    exact = tuple(x.detach().double().requires_grad_() for x in low)
    truth = results(spec, exact, {}, "reference", where)
    return [
        float((one.detach().double() - other.detach()).square().mean().sqrt())
        for one, other in zip(results(spec, low, {}, kernel, where), truth, strict=True)
    ]


SPECS = [
    Pairwise(),
    Pairwise(pattern=Causal()),
    Pairwise(position=Rotary(), pattern=Causal()),
    Pairwise(score=Cosine(scale=6.0)),
]


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("spec", SPECS, ids=str)
@pytest.mark.parametrize(("T", "S"), [(37, 37), (21, 64), (40, 24)])
def test_the_error_is_within_twice_that_of_the_plain_operator_in_bfloat16(spec: Pairwise, T: int, S: int) -> None:
    for kernel_error, plain_error in zip(
        errors(spec, T, S, None, "blocks"), errors(spec, T, S, None, "reference"), strict=True
    ):
        assert kernel_error <= 2 * plain_error


def test_gradients_of_keys_and_values_do_not_fade_over_many_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnkit.kernels.blocks.BLOCK_NUMBERS", 1)
    whole = errors(Pairwise(), 500, 20, None, "blocks")
    monkeypatch.setattr("attnkit.kernels.blocks.ROWS", 2)
    for of_many, of_one in zip(errors(Pairwise(), 500, 20, None, "blocks"), whole, strict=True):
        assert of_many <= 1.2 * of_one


def test_large_scores_keep_the_digits_that_count() -> None:
    """What is rounded is the distance to about the largest score, not the score: at 8 times, 3 times less error."""
    of_blocks = errors(Pairwise(), 64, 256, None, "blocks", sharp=8.0)
    plain = errors(Pairwise(), 64, 256, None, "reference", sharp=8.0)
    assert of_blocks[0] < 0.5 * plain[0]


@pytest.mark.usefixtures("small_blocks")
def test_padding_is_left_out_item_by_item() -> None:
    where = Where.of(13, 17, keep=holes(2, 17), query_keep=holes(2, 13, seed=4) | torch.tensor([[False], [True]]))
    for kernel_error, plain_error in zip(
        errors(Pairwise(), 13, 17, where, "blocks"), errors(Pairwise(), 13, 17, where, "reference"), strict=True
    ):
        assert kernel_error <= 2 * plain_error
    q, k, v = (x.detach().bfloat16().requires_grad_() for x in draw(0, 13, 17))
    out = attend(q, k, v, where=where, kernel="blocks")
    # The second item's keys are padding, all of them, and so are some of the first item's queries.
    assert torch.equal(out[1], torch.zeros_like(out[1]))
    assert not out[0][:, ~where.query_keep[0]].any() and out[0][:, where.query_keep[0]].all()
    hidden = ~where.keep[:, None, :, None].expand_as(k)
    for gradient in torch.autograd.grad(out.float().sum(), (q, k, v)):
        assert torch.isfinite(gradient).all()
        assert not gradient[1].any()
        if gradient.shape == k.shape:
            assert not gradient[hidden].any()
    garbage = k.detach().masked_fill(hidden, float("nan")), v.detach().masked_fill(hidden, float("inf"))
    assert torch.equal(attend(q, *garbage, where=where, kernel="blocks"), out)


def test_queries_before_the_first_key_are_zero() -> None:
    q, k, v = (x.detach().bfloat16() for x in draw(0, 9, 4))
    out = attend(q, k, v, Pairwise(pattern=Causal()), kernel="blocks")
    assert not out[:, :, :5].any() and out[:, :, 5:].all()


def test_infinite_and_huge_scores_make_no_nan() -> None:
    q, k, v = (x.detach().bfloat16() for x in draw(0, 9, 9))
    out = attend(q * 1e18, k * 1e18, v, kernel="blocks")
    assert torch.isfinite(out).all()


def test_autocast_to_bfloat16_is_the_same_as_bfloat16() -> None:
    wide = tuple(x.detach().float().requires_grad_() for x in draw(0, 33, 33))
    low = tuple(x.detach().bfloat16().requires_grad_() for x in wide)
    plain = attend(*low, kernel="blocks")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = attend(*wide, kernel="blocks")
        gradients = torch.autograd.grad(cast.float().sum(), wide)
    assert torch.equal(cast, plain)
    for one, other in zip(gradients, torch.autograd.grad(plain.float().sum(), low), strict=True):
        assert torch.equal(one, other.float())


def test_compiled_it_is_one_graph_with_the_same_numbers_and_gradients() -> None:
    inputs = tuple(x.detach().bfloat16().requires_grad_() for x in draw(0, 33, 33))
    compiled = torch.compile(lambda q, k, v: attend(q, k, v, kernel="blocks"), backend="eager", fullgraph=True)
    got, expected = compiled(*inputs), attend(*inputs, kernel="blocks")
    assert torch.equal(got, expected)
    for one, other in zip(
        torch.autograd.grad(got.float().sum(), inputs),
        torch.autograd.grad(expected.float().sum(), inputs),
        strict=True,
    ):
        assert torch.equal(one, other)


def test_what_does_not_fit_is_refused_with_the_reason() -> None:
    q, k, v = draw(0, 5, 5)
    low = tuple(x.bfloat16() for x in (q, k, v))
    given = Where.of(5, 5, query_position=torch.arange(5))
    keep = Where.of(5, 5, keep=torch.ones(2, 5, dtype=torch.bool))
    cases: list[tuple[tuple[Tensor, ...], Pairwise, Where | None, str]] = [
        ((q, k, v), Pairwise(), None, "it is for bfloat16, and the tensors are float64"),
        (low, Pairwise(score=Additive(4)), None, "Additive is not a dot product"),
        (low, Pairwise(normalizer=Sparsemax()), None, "Sparsemax is not the softmax"),
        (low, Pairwise(position=Alibi()), None, "Alibi adds a bias"),
        (low, Pairwise(pattern=Window(3)), None, "Window is neither full nor causal"),
        (low, Pairwise(pattern=Causal()), given, "positions were given"),
        (low, Pairwise(pattern=Causal()), keep, "keys may be padding"),
    ]
    for tensors, spec, where, sentence in cases:
        with pytest.raises(ValueError, match=sentence):
            attend(*tensors, spec, where=where, kernel="blocks")
    with pytest.raises(ValueError, match="dropout falls on weights"):
        attend(*low, dropout=0.1, kernel="blocks")


def test_it_is_chosen_for_large_maps_where_the_processor_has_products_of_bfloat16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def chosen(length: int, dtype: torch.dtype, intent: str = "train") -> str:
        q, k, v = (torch.empty(1, 8, length, 64, dtype=dtype, device="cpu") for _ in range(3))
        plan.cache_clear()
        return plan(Pairwise(), Situation.of(q, k, v, Where.of(length, length), intent=intent)).kernel.name

    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert chosen(256, torch.bfloat16) == "blocks"
    assert chosen(64, torch.bfloat16) != "blocks"
    assert chosen(256, torch.float32) != "blocks"
    assert chosen(256, torch.bfloat16, "export") != "blocks"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    assert chosen(256, torch.bfloat16) != "blocks"
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert chosen(256, torch.bfloat16) != "blocks"
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    assert chosen(256, torch.bfloat16) != "blocks"
    plan.cache_clear()


def test_given_lengths_are_read_by_blocks_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside items sliced by their lengths, keys that are gathered take half the time in bfloat16."""
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    q, k, v = (x.detach().bfloat16() for x in draw(0, 200, 200))
    plan.cache_clear()
    where = Where.of(200, 200, lengths=torch.tensor([150, 3]))
    assert plan(Pairwise(), Situation.of(q, k, v, where)).kernel.name == "blocks"
    plan.cache_clear()
    expected = attend(q.double(), k.double(), v.double(), where=where, kernel="reference")
    torch.testing.assert_close(attend(q, k, v, where=where, kernel="blocks").double(), expected, rtol=0.02, atol=0.01)


def test_memory_is_a_block_and_the_results() -> None:
    q, k, v = (torch.empty(1, 8, 4096, 64, dtype=torch.bfloat16, device="meta") for _ in range(3))
    situation = Situation.of(q, k, v, Where.of(4096, 4096))
    # The tensors are counted, not where they are.
    assert Blocks().cost(Pairwise(), situation).map_bytes == 0
    assert Blocks().cost(Pairwise(), situation).peak_bytes <= (2 * 8 * 4096 * 64 + 512 * 4096) * 2
