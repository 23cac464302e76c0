"""Sparsemax and entmax in place: the numbers of the normalizers in float64, natively and in plain PyTorch alike."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import cache

import pytest
import torch
from torch import Tensor

from attnkit.attention.normalizer import Entmax, Softmax, Sparsemax
from attnkit.kernels import native
from attnkit.kernels.rows.thresholds import entmax_, entmax_backward_, sparsemax_, sparsemax_backward_

ALPHAS = (1.0, 1.000001, 1.001, 1.3, 1.5, 1.9, 2.0)
NATIVE = (1.000001, 1.001, 1.3, 1.5, 1.9, 2.0)
NONE = float("-inf")


def _masked() -> Tensor:
    x = torch.randn(9, 203, generator=torch.Generator().manual_seed(1))
    x.masked_fill_(torch.rand(9, 203, generator=torch.Generator().manual_seed(2)) < 0.5, NONE)
    x[2] = NONE
    x[3] = NONE
    x[3, 7] = -4.0
    x[8] = NONE
    return x


def _cases() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)
    return {
        "plain": torch.randn(7, 1001, generator=draw),
        "wide": 30 * torch.randn(5, 513, generator=draw),
        "flat": 1e-3 * torch.randn(3, 4096, generator=draw),
        "long": torch.randn(2, 9_011, generator=draw),
        "high": 1e4 + torch.randn(4, 300, generator=draw),
        "huge": 1e30 * torch.randn(4, 300, generator=draw),
        "shifted": -1e30 + torch.zeros(2, 40),
        "one key": torch.randn(9, 1, generator=draw),
        "few keys": torch.randn(3, 17, generator=draw),
        "all tied": torch.full((2, 33), 0.25),
        "ties": torch.randint(0, 3, (6, 50), generator=draw).float(),
        "slowly shrinking": -(0.99 ** torch.arange(3000.0)).flip(0).repeat(2, 1),
        "halving": -(2.0 ** -torch.arange(30.0)).repeat(1, 1),
        "one far above": torch.cat((torch.full((1, 1), 1.9), 1e-3 * torch.rand(1, 4000, generator=draw)), -1),
        "many at the edge": torch.cat((torch.zeros(2, 1), 4e-4 * torch.rand(2, 50, generator=draw) - 1), -1),
        "masked": _masked(),
    }


CASES = _cases()


def wanted(x: Tensor, alpha: float) -> Tensor:
    """The normalizer's own words, in float64."""
    allowed = x > NONE
    normalizer = {1.0: Softmax(), 2.0: Sparsemax()}.get(alpha, Entmax(alpha))
    scores = x.double().masked_fill(~allowed, 0.0)
    return normalizer.weights(scores[None, None], allowed[None, None], {})[0, 0]


@cache
def wanted_of(case: str, alpha: float) -> Tensor:
    return wanted(CASES[case], alpha)


def weigh(x: Tensor, alpha: float) -> Tensor:
    return sparsemax_(x) if alpha == 2.0 else entmax_(x, alpha)


def weigh_back(weights: Tensor, grad: Tensor, alpha: float) -> Tensor:
    return sparsemax_backward_(weights, grad) if alpha == 2.0 else entmax_backward_(weights, grad, alpha)


@pytest.fixture(params=["AVX-512", "AVX2", "baseline", "plain PyTorch"])
def each_way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every level of the native loops that this processor knows, and none."""
    if request.param == "plain PyTorch":
        with native.without_native():
            yield request.param
        return
    found = native.library()
    if found is None:
        pytest.skip(f"native loops: {native.reason()}")
    names = []
    for index in range(3):
        if found.attnkit_use_level(index):
            names.append(native.level())
            if names[-1] == request.param:
                break
    else:
        pytest.skip(f"this processor does not know {request.param}")
    yield request.param
    found.attnkit_use_level(0)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("case", CASES)
def test_weights_are_those_of_the_normalizer(case: str, alpha: float, each_way: str) -> None:
    x = CASES[case].clone()
    got = weigh(x, alpha)
    assert got is x
    torch.testing.assert_close(got.double(), wanted_of(case, alpha), rtol=0, atol=2e-7)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("case", CASES)
def test_weights_in_double_precision(case: str, alpha: float) -> None:
    got = weigh(CASES[case].double(), alpha)
    torch.testing.assert_close(got, wanted_of(case, alpha), rtol=0, atol=1e-14)


@cache
def gradients_of(case: str, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Weights in float64, a gradient by them, and what it is by the scores."""
    x = CASES[case]
    allowed = x > NONE
    scores = x.double().masked_fill(~allowed, 0.0).requires_grad_()
    normalizer = {1.0: Softmax(), 2.0: Sparsemax()}.get(alpha, Entmax(alpha))
    weights = normalizer.weights(scores[None, None], allowed[None, None], {})[0, 0]
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    (right,) = torch.autograd.grad(weights, scores, grad.double())
    return weights.detach(), grad, right


@pytest.mark.parametrize("alpha", ALPHAS)
def test_gradients_are_those_of_the_normalizer(alpha: float, each_way: str) -> None:
    for case in CASES:
        weights, grad, right = gradients_of(case, alpha)
        back = grad.clone()
        got = weigh_back(weights.float(), back, alpha)
        assert got is back
        torch.testing.assert_close(got.double(), right, rtol=1e-5, atol=2e-6)
        exact = weigh_back(weights, grad.double(), alpha)
        torch.testing.assert_close(exact, right, rtol=1e-9, atol=1e-9)


def test_ties_get_the_same(each_way: str) -> None:
    x = torch.zeros(3, 37)
    x[0, ::2], x[1, 5:9], x[2, -1] = 2.0, 3.0, 7.0
    for alpha in (1.5, 2.0):
        got = weigh(x.clone(), alpha)
        assert torch.equal(got[0, ::2], got[0, :1].expand(19)) and torch.equal(got[1, 5:9], got[1, 5:6].expand(4))
        torch.testing.assert_close(got[1, 5:9], torch.full((4,), 0.25))
        assert got[2, -1] == 1.0 and got[2, :-1].count_nonzero() == 0


@pytest.mark.parametrize("alpha", NATIVE)
@pytest.mark.parametrize("size", [1, 2, 3, 15, 16, 17, 63, 64, 65, 127, 1023, 1024, 1025])
def test_any_number_of_keys(size: int, alpha: float, each_way: str) -> None:
    x = torch.randn(3, size, generator=torch.Generator().manual_seed(size))
    got = weigh(x.clone(), alpha)
    torch.testing.assert_close(got.double(), wanted(x, alpha), rtol=0, atol=2e-7)
    grad = torch.randn(3, size, generator=torch.Generator().manual_seed(size + 1))
    slope = got.double() ** (2.0 - alpha) * (got > 0)
    right = slope * (grad.double() - (slope * grad).sum(-1, keepdim=True) / slope.sum(-1, keepdim=True))
    torch.testing.assert_close(weigh_back(got, grad, alpha).double(), right, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alpha", NATIVE)
def test_rows_with_a_number_that_is_none_are_nan_and_others_are_not(alpha: float, each_way: str) -> None:
    x = torch.randn(4, 70, generator=torch.Generator().manual_seed(0))
    x[1, 69], x[3, 2] = torch.nan, torch.inf
    got = weigh(x.clone(), alpha)
    assert got[1].isnan().all() and got[3].isnan().any()
    torch.testing.assert_close(got[::2].double(), wanted(x[::2], alpha), rtol=0, atol=2e-7)


def _views() -> dict[str, Callable[[Tensor], Tensor]]:
    """Views of a (6, 8, 40) tensor that loops must read by their strides, or leave to PyTorch."""
    return {
        "rows apart": lambda x: x[0, :, 3:36],
        "every other row": lambda x: x[1, ::2],
        "heads in between": lambda x: x.transpose(0, 1),
        "part of each head": lambda x: x[:, 2:5, :33],
        "keys apart": lambda x: x.mT[:, :, :5],
        "one row": lambda x: x[3, 4],
        "four axes": lambda x: x.view(2, 3, 8, 40)[:, :, 1:7, 5:],
        "no rows": lambda x: x[:, :0],
        "no keys": lambda x: x[..., :0],
    }


@pytest.mark.parametrize("alpha", NATIVE)
@pytest.mark.parametrize("view", _views())
def test_views_are_changed_in_place_and_nothing_beside_them(view: str, alpha: float, each_way: str) -> None:
    see = _views()[view]
    whole = torch.randn(6, 8, 40, generator=torch.Generator().manual_seed(4))
    x, touched = whole.clone(), torch.zeros(6, 8, 40, dtype=torch.bool)
    part = see(x)
    see(touched).fill_(True)
    weigh(part, alpha)
    assert torch.equal(x[~touched], whole[~touched])
    if part.numel():
        flat = see(whole).reshape(-1, part.shape[-1])
        torch.testing.assert_close(part.reshape(flat.shape).double(), wanted(flat, alpha), rtol=0, atol=2e-7)
    grad = torch.randn(6, 8, 40, generator=torch.Generator().manual_seed(5))
    back, weights = grad.clone(), see(x).clone()
    weigh_back(see(x), see(back), alpha)
    assert torch.equal(back[~touched], grad[~touched])
    torch.testing.assert_close(see(back), weigh_back(weights, see(grad).clone(), alpha), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("alpha", NATIVE)
def test_rows_that_share_memory_are_refused(alpha: float, each_way: str) -> None:
    x = torch.randn(1, 40)
    with pytest.raises(RuntimeError, match="single memory location"):
        weigh(x.expand(3, 40), alpha)
    assert x.ne(0).all()


def test_the_number_of_threads_changes_nothing() -> None:
    x = torch.randn(256, 4096, generator=torch.Generator().manual_seed(6))
    before, got = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            got.append((sparsemax_(x.clone()), entmax_(x.clone(), 1.5)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, other) for later in got[1:] for one, other in zip(got[0], later, strict=True))


def test_in_place_is_seen_by_autograd() -> None:
    x = torch.randn(4, 8)
    leaf = torch.ones(4, 8, requires_grad=True)
    product = leaf * x
    sparsemax_(x)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        product.sum().backward()


@pytest.mark.parametrize("context", [nullcontext, lambda: torch.autocast("cpu", dtype=torch.bfloat16)])
def test_autocast_changes_nothing(context: Callable[[], object], each_way: str) -> None:
    x = torch.randn(4, 50, generator=torch.Generator().manual_seed(7))
    with context():
        got = entmax_(x.clone(), 1.5)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got.double(), wanted(x, 1.5), rtol=0, atol=2e-7)


def test_what_cannot_be_done_says_so() -> None:
    with pytest.raises(TypeError, match="float32 or float64; got torch.bfloat16"):
        sparsemax_(torch.zeros(2, 3, dtype=torch.bfloat16))
    with pytest.raises(ValueError, match=r"alpha must be in \[1, 2\]; got 2.5"):
        entmax_(torch.zeros(2, 3), 2.5)
    with pytest.raises(ValueError, match="one shape"):
        sparsemax_backward_(torch.zeros(2, 3), torch.zeros(2, 4))
