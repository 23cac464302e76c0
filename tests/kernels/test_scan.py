"""scan: causal linear attention by chunks, whole, in parts and token by token, with the reference's numbers."""

import pytest
import torch
from torch import Tensor

from attnkit.attention.factored import CausalLinear, Linear
from attnkit.attention.where import Where
from attnkit.kernels import Situation, attend, plan
from attnkit.kernels.scan import Scan, initial_state, scan, step
from tests.kernels.agree import agrees, draw, holes


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of a few tokens, so that short sequences have many."""
    monkeypatch.setattr("attnkit.kernels.scan.CHUNK", 4)


@pytest.mark.parametrize(("T", "S"), [(13, 13), (5, 18), (17, 6), (1, 9), (8, 8), (1, 1), (4, 8)])
@pytest.mark.parametrize("G", [4, 2, 1])
def test_scan_equals_the_reference_with_its_gradients(T: int, S: int, G: int) -> None:
    agrees(CausalLinear(), "scan", T, S, G=G)
    agrees(CausalLinear(), "scan", T, S, G=G, E=5, keep=holes(2, S), query_keep=holes(2, T, seed=4))


def test_padding_may_hold_anything_and_gets_no_gradient() -> None:
    q, k, v = draw(0, 7, 7)
    keep = holes(2, 7)
    expected = attend(q, k, v, CausalLinear(), keep=keep, kernel="reference")
    hidden = ~keep[:, None, :, None]
    k, v = (x.detach().masked_fill(hidden, float("nan")).requires_grad_() for x in (k, v))
    out = attend(q, k, v, CausalLinear(), keep=keep, kernel="scan")
    torch.testing.assert_close(out, expected)
    for gradient in torch.autograd.grad(out.sum(), (q, k, v)):
        assert torch.isfinite(gradient).all()
        assert torch.equal(gradient[1], torch.zeros_like(gradient[1]))


@pytest.mark.parametrize("cuts", [[13], [5, 8], [4, 4, 5], [1] * 13], ids=str)
def test_parts_with_their_state_equal_the_whole_with_its_gradients(cuts: list[int]) -> None:
    q, k, v = draw(0, 13, 13, G=2, E=5)
    keep = holes(2, 13)
    direction = torch.randn(2, 4, 13, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    whole = attend(q, k, v, CausalLinear(), keep=keep, kernel="reference")
    state, outs, start = initial_state(k, v), [], 0
    for length in cuts:
        some = slice(start, start + length)
        call = step if length == 1 else scan
        out, state = call(q[:, :, some], k[:, :, some], v[:, :, some], state, keep=keep[:, some])
        outs.append(out)
        start += length
    parts = torch.cat(outs, dim=2)
    real = keep[:, None, :, None]
    torch.testing.assert_close(parts.masked_fill(~real, 0.0), whole.masked_fill(~real, 0.0))
    expected = torch.autograd.grad((whole.masked_fill(~real, 0.0) * direction).sum(), (q, k, v))
    got = torch.autograd.grad((parts.masked_fill(~real, 0.0) * direction).sum(), (q, k, v))
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(other, one)


def test_the_state_is_the_two_sums_and_carries_gradients() -> None:
    q, k, v = draw(0, 3, 7, E=5)
    _, state = scan(q, k, v)
    phi = torch.nn.functional.elu(k) + 1.0
    torch.testing.assert_close(state.values_BGDE, phi.mT @ v)
    torch.testing.assert_close(state.keys_BGD, phi.sum(2))
    got = torch.autograd.grad(state.values_BGDE.square().sum() + state.keys_BGD.square().sum(), (k, v))
    expected = torch.autograd.grad((phi.mT @ v).square().sum() + phi.sum(2).square().sum(), (k, v))
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(other, one)


@pytest.mark.parametrize("given", [False, True])
def test_first_and_second_derivatives_of_everything(given: bool) -> None:
    q, k, v = draw(0, 5, 7, B=1, H=2, G=1, D=2, E=3)
    begun = initial_state(k, v)
    held = tuple((torch.rand_like(x) + 0.5).requires_grad_() for x in (begun.values_BGDE, begun.keys_BGD))

    def run(q: Tensor, k: Tensor, v: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        out, after = scan(q, k, v, type(begun)(*state) if state else None)
        return out, after.values_BGDE, after.keys_BGD

    inputs = (q, k, v, *held) if given else (q, k, v)
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs)


def test_no_key_and_no_query_are_no_special_case() -> None:
    for T, S in ((3, 0), (0, 3), (0, 0)):
        q, k, v = draw(0, T, S)
        out, state = scan(q, k, v)
        assert torch.equal(out, torch.zeros(2, 4, T, 8, dtype=torch.float64))
        gradients = torch.autograd.grad(out.sum() + state.values_BGDE.sum(), (q, k, v), allow_unused=True)
        assert all(torch.isfinite(x).all() for x in gradients if x is not None)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_low_precision_stays_within_twice_the_error_of_the_reference(dtype: torch.dtype) -> None:
    exact = [x.detach() for x in draw(0, 700, 700, B=1, H=2, G=2)]
    truth = attend(*exact, CausalLinear(), kernel="reference")
    errors = {}
    low = [x.to(dtype) for x in exact]
    for kernel in ("reference", "scan"):
        out = attend(*low, CausalLinear(), kernel=kernel)
        assert out.dtype == dtype
        errors[kernel] = (out.double() - truth).abs().mean()
    assert errors["scan"] <= 2 * errors["reference"]


def test_sums_of_many_half_precision_tokens_do_not_stop_growing() -> None:
    ones = torch.ones(1, 1, 3000, 2, dtype=torch.bfloat16)
    _, state = scan(ones, ones, ones)
    assert state.keys_BGD.dtype == torch.float32
    assert torch.equal(state.keys_BGD, torch.full((1, 1, 2), 6000.0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _, state = scan(ones.float(), ones.float(), ones.float())
    assert torch.equal(state.values_BGDE, torch.full((1, 1, 2, 2), 6000.0))


def test_what_does_not_fit_is_refused_with_the_reason() -> None:
    q, k, v = draw(0, 5, 5)
    given = Where.of(5, 5, key_position=torch.arange(5), query_position=torch.arange(5))
    for spec, where, sentence in (
        (Linear(), None, "Linear is not causal linear attention"),
        (CausalLinear(), given, "positions were given"),
    ):
        with pytest.raises(ValueError, match=sentence):
            attend(q, k, v, spec, where=where, kernel="scan")
    with pytest.raises(ValueError, match="dropout falls on weights"):
        attend(q, k, v, CausalLinear(), dropout=0.1, kernel="scan")

    class Other(CausalLinear):
        pass

    with pytest.raises(ValueError, match="Other is not causal linear attention"):
        attend(q, k, v, Other(), kernel="scan")
    assert plan(CausalLinear(), Situation.of(q, k, v, Where.of(5, 5))).kernel.name == "scan"
    assert plan(CausalLinear(), Situation.of(q, k, v, given)).kernel.name == "reference"
    assert plan(CausalLinear(), Situation.of(q, k, v, Where.of(5, 5), intent="export")).kernel.name == "reference"


def test_a_state_or_a_step_that_does_not_fit_is_refused() -> None:
    q, k, v = draw(0, 5, 3)
    with pytest.raises(ValueError, match="2 queries stand before the first new key"):
        scan(q, k, v, initial_state(k, v))
    with pytest.raises(ValueError, match="a step is one token; got 5 queries and 3 keys"):
        step(q, k, v, initial_state(k, v))
    with pytest.raises(ValueError, match=r"a state must be \(2, 4, 8, 8\)"):
        scan(q[:, :, :3], k, v, initial_state(k, v[..., :2]))


def test_the_cost_is_linear_and_keeps_no_map() -> None:
    costs = []
    for T in (1000, 2000):
        q, k, v = (torch.empty(1, 2, T, 16, device="meta") for _ in range(3))
        costs.append(Scan().cost(CausalLinear(), Situation.of(q, k, v, Where.of(T, T), needs_grad=True)))
    assert costs[1].multiply_adds == 2 * costs[0].multiply_adds
    assert costs[1].peak_bytes < 2 * costs[0].peak_bytes
    assert costs[0].map_bytes == costs[1].map_bytes == 0
