"""Additive scores from prepared factors: any size and magnitude, both directions, native and plain."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from attnkit.kernels import native
from attnkit.kernels.rows import additive
from attnkit.kernels.rows.additive import PRODUCT, SUM, WIDE, AdditiveFactors, AdditiveScore
from attnkit.kernels.rows.place import Place, Space

LEVELS = ("AVX-512", "AVX2", "baseline")
SIZES = ((5, 1, 1), (1, 17, 3), (7, 17, 64), (6, 300, 5), (37, 65, 64), (0, 3, 2))
SCALES = (
    (1e-4, 1e-4),
    (0.1, 0.2),
    (1.0, 1.0),
    (3.0, 3.0),
    (10.0, 0.1),
    (1e2, 1e2),
    (1e4, 1e4),
    (1e4, 1.0),
    (1e-3, 1e3),
)

Numbers = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(params=("plain", *range(len(LEVELS))))
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """Plain PyTorch, then every level of instructions that this processor knows."""
    if request.param == "plain":
        with native.without_native():
            yield "plain"
        return
    found = native.library()
    if found is None:
        pytest.skip(f"native loops: {native.reason()}")
    if not found.attnkit_use_level(request.param):
        pytest.skip("this processor knows fewer levels")
    yield LEVELS[request.param]
    found.attnkit_use_level(0)


def numbers(T: int, S: int, hidden: int, scale_a: float, scale_b: float, dtype: torch.dtype = torch.float32) -> Numbers:
    """a, b, v and the gradient of the scores; some queries and keys nearly cancel, whatever their size."""
    made = torch.Generator().manual_seed(T * S + hidden)
    a, b, v, grad = (
        torch.randn(*shape, generator=made, dtype=torch.float64)
        for shape in ((T, hidden), (S, hidden), (hidden,), (T, S))
    )
    a, b = a * scale_a, b * scale_b
    some = min(T, S) // 2
    b[:some] = -a[:some] + b[:some].clamp(-1.0, 1.0)
    return a.to(dtype), b.to(dtype), v.to(dtype), grad.to(dtype)


def direct(a: Tensor, b: Tensor, v: Tensor, grad: Tensor) -> Numbers:
    """Scores and the gradients of a, b and v, pair by pair."""
    t = torch.tanh(a[:, None] + b)
    w = (1 - t * t) * grad[..., None] * v
    return t @ v, w.sum(1), w.sum(0), (t * grad[..., None]).sum((0, 1))


def factorized(a: Tensor, b: Tensor, v: Tensor, grad: Tensor, height: int = 8, width: int | None = None) -> Numbers:
    """The same from factors, slab by slab, into buffers with something between the rows and something in them."""
    (T, hidden), S = a.shape, b.shape[0]
    factors, space = AdditiveFactors.of(a, b, v), Space(a.dtype, a.device)
    x, back = a.new_full((T, S + 3), 7.0), grad.new_full((T, S + 5), torch.nan)
    back[:, :S] = grad
    d_a, d_b, d_v = torch.ones_like(a), a.new_ones(hidden, S).mT, torch.ones_like(v)
    for top in range(0, T, height):
        for left in range(0, S, width or S):
            rows, columns = slice(top, min(top + height, T)), slice(left, min(left + (width or S), S))
            factors.scores(x[rows, columns], rows, columns, space)
            factors.backward(back[rows, columns], rows, columns, d_a, d_b, d_v, space)
    assert (x[:, S:] == 7.0).all()
    return x[:, :S], d_a - 1, d_b - 1, d_v - 1


def assert_as_exact(found: Numbers, a: Tensor, b: Tensor, v: Tensor, grad: Tensor, times: float = 2.0) -> None:
    """Within `times` the error of the direct way in the same type, or a few units of the largest terms of a sum."""
    true = direct(*(x.double() for x in (a, b, v, grad)))
    plain = direct(a, b, v, grad)
    unit = torch.finfo(a.dtype).eps
    # What sums of terms of this size may lose whichever way they are taken; one is what the gradients began at.
    terms = [v.abs().sum(), v.abs().max() * 4, v.abs().max() * 4, grad.abs().sum() ** 0.5]
    for name, one, right, other, size in zip("xabv", found, true, plain, terms, strict=True):
        assert one.shape == right.shape and one.isfinite().all(), name
        allowed = times * (other.double() - right).abs().amax() if right.numel() else 0.0
        error = (one.double() - right).abs().amax() if right.numel() else 0.0
        assert error <= allowed + 4 * unit * (float(size) + 1), (name, float(error), float(allowed))


@pytest.mark.parametrize(("T", "S", "hidden"), SIZES)
@pytest.mark.parametrize(("scale_a", "scale_b"), SCALES)
def test_as_exact_as_pair_by_pair(way: str, T: int, S: int, hidden: int, scale_a: float, scale_b: float) -> None:
    given = numbers(T, S, hidden, scale_a, scale_b)
    assert_as_exact(factorized(*given), *given)


@pytest.mark.parametrize(("scale_a", "scale_b"), SCALES)
def test_double_precision_stays_double(scale_a: float, scale_b: float) -> None:
    given = numbers(7, 33, 5, scale_a, scale_b, torch.float64)
    for one, right in zip(factorized(*given), direct(*given), strict=True):
        torch.testing.assert_close(one, right, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("size", "form"), [(0.3, SUM), (1.0, SUM), (1.01, PRODUCT), (21.0, PRODUCT), (22.0, WIDE)])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_each_form_is_right_up_to_its_edge(way: str, size: float, form: int, sign: float) -> None:
    a = torch.linspace(-size, size, 41).repeat(3, 1).mT.contiguous()
    b = sign * torch.linspace(-size, size, 67).repeat(3, 1).mT
    v, grad = torch.tensor([1.0, -0.5, 2.0]), torch.randn(41, 67, generator=torch.Generator().manual_seed(0))
    assert AdditiveFactors.of(a, b, v).form == form
    assert_as_exact(factorized(a, b, v, grad), a, b, v, grad)


def test_small_scores_keep_their_digits(way: str) -> None:
    a, b, v, grad = numbers(9, 40, 16, 1e-5, 1e-5)
    scores, _, _, _ = factorized(a, b, v, grad)
    right = direct(a.double(), b.double(), v.double(), grad.double())[0]
    assert (scores - right).abs().max() <= 1e-6 * right.abs().max()


def test_saturated_units_keep_a_gradient(way: str) -> None:
    # 1 - tanh(15)^2 = 4 e^-30 is rounded away where the square is taken from one.
    a, b, v, grad = torch.full((1, 1), 5.0), torch.full((1, 1), 10.0), torch.ones(1), torch.ones(1, 1)
    _, d_a, _, _ = _gradients_alone(a, b, v, grad)
    torch.testing.assert_close(float(d_a), 3.743049067e-13, rtol=1e-5, atol=0.0)


def _gradients_alone(a: Tensor, b: Tensor, v: Tensor, grad: Tensor) -> Numbers:
    """From zero, where nothing hides what is small."""
    d_a, d_b, d_v = torch.zeros_like(a), torch.zeros_like(b), torch.zeros_like(v)
    rows, columns = slice(0, a.shape[0]), slice(0, b.shape[0])
    AdditiveFactors.of(a, b, v).backward(grad, rows, columns, d_a, d_b, d_v, Space(a.dtype, a.device))
    return grad, d_a, d_b, d_v


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e2])
def test_scores_do_not_depend_on_the_slab(way: str, scale: float) -> None:
    given = numbers(23, 70, 6, scale, scale)
    whole = factorized(*given, height=23)
    for height, width in ((1, None), (4, 70), (6, 33), (23, 16)):
        parts = factorized(*given, height=height, width=width)
        if way == "plain":
            torch.testing.assert_close(parts[0], whole[0], rtol=1e-6, atol=1e-6)
        else:
            assert torch.equal(parts[0], whole[0])
        for part, all_at_once in zip(parts[1:], whole[1:], strict=True):
            torch.testing.assert_close(part, all_at_once, rtol=1e-5, atol=2e-5)


def test_small_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    given = numbers(11, 50, 6, 1.0, 1.0)
    with native.without_native():
        whole = factorized(*given)
        monkeypatch.setattr(additive, "BLOCK_NUMBERS", 6 * 7 * 2)
        monkeypatch.setattr(additive, "BLOCK_KEYS", 7)
        for one, other in zip(factorized(*given), whole, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(native.library() is None, reason=f"native loops: {native.reason()}")
@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 1e4])
def test_native_and_plain_agree(scale: float) -> None:
    given = numbers(33, 290, 20, scale, scale)
    assert AdditiveFactors.of(*given[:3]).loops is not None
    found = factorized(*given)
    with native.without_native():
        assert AdditiveFactors.of(*given[:3]).loops is None
        twin = factorized(*given)
    for one, other in zip(found, twin, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-6, atol=2e-5)


@pytest.mark.skipif(native.library() is None, reason=f"native loops: {native.reason()}")
def test_sums_do_not_depend_on_the_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    given = numbers(64, 1100, 32, 1.0, 1.0)
    one = factorized(*given, height=64)
    monkeypatch.setattr(native, "threads", lambda: 3)
    for alone, together in zip(one, factorized(*given, height=64), strict=True):
        assert torch.equal(alone, together)


def test_what_is_not_a_number_is_seen(way: str) -> None:
    a, b, v, _ = numbers(3, 20, 4, 1.0, 1.0)
    a[1, 2] = torch.nan
    x = torch.zeros(3, 20)
    AdditiveFactors.of(a, b, v).scores(x, slice(0, 3), slice(0, 20), Space(a.dtype, a.device))
    assert x[1].isnan().all() and x[0].isfinite().all() and x[2].isfinite().all()


@pytest.mark.parametrize("wanted", [(0,), (1,), (2,), (0, 2), ()])
def test_only_the_gradients_asked_for(way: str, wanted: tuple[int, ...]) -> None:
    a, b, v, grad = numbers(5, 40, 4, 1.0, 1.0)
    _, *right = _gradients_alone(a, b, v, grad)
    into = [torch.zeros_like(x) if index in wanted else None for index, x in enumerate((a, b, v))]
    for _ in range(2):
        AdditiveFactors.of(a, b, v).backward(grad, slice(0, 5), slice(0, 40), *into, Space(a.dtype, a.device))
    for index in wanted:
        torch.testing.assert_close(into[index], 2 * right[index])


def test_gradients_may_lie_in_memory_as_they_like(way: str) -> None:
    a, b, v, grad = numbers(5, 40, 4, 1.0, 1.0)
    for strange in (grad[:, :1].expand(5, 40), grad.mT.contiguous().mT, grad.repeat(1, 2)[:, ::2], grad.double()):
        _, *found = _gradients_alone(a, b, v, strange)
        _, *right = _gradients_alone(a, b, v, strange.float().contiguous().clone())
        for one, other in zip(found, right, strict=True):
            torch.testing.assert_close(one, other)


def test_scores_go_only_where_they_fit(way: str) -> None:
    a, b, v, _ = numbers(5, 40, 4, 1.0, 1.0)
    factors, space = AdditiveFactors.of(a, b, v), Space(a.dtype, a.device)
    for room in (torch.empty(40, 5).mT, torch.empty(5, 80)[:, ::2], torch.empty(5, 40, dtype=torch.float64)):
        with pytest.raises(ValueError, match="one number after the other"):
            factors.scores(room, slice(0, 5), slice(0, 40), space)


def test_the_stage_takes_each_item_and_head_with_its_own_numbers(way: str) -> None:
    made = torch.Generator().manual_seed(3)
    B, H, T, S, hidden = 2, 3, 9, 21, 4
    a, b, v = (torch.randn(*shape, generator=made) for shape in ((B, H, T, hidden), (B, H, S, hidden), (H, hidden)))
    a[1, 2] *= 100
    leaves = [x.requires_grad_() for x in (a, b, v)]
    stage, space = AdditiveScore(*leaves), Space(torch.float32, a.device)
    stage.collect()
    for item in range(B):
        for rows, columns in ((slice(0, 5), slice(0, 13)), (slice(5, 9), slice(3, 21))):
            for heads in (slice(0, 2), slice(2, 3)):
                place = Place(item, heads, rows, columns, rows, None, None)  # type: ignore[arg-type]
                x = stage.forward(torch.empty(0), place, space, keep=True)
                right = (
                    torch.tanh(a[item, heads, rows, None] + b[item, heads, None, columns]) * v[heads, None, None]
                ).sum(-1)
                torch.testing.assert_close(x, right.detach(), rtol=1e-5, atol=1e-5)
                grad = torch.randn(*place.shape, generator=made)
                stage.backward(grad, place, space)
                right.backward(grad)
    for found, leaf in zip(stage.grads, leaves, strict=True):
        torch.testing.assert_close(found, leaf.grad, rtol=1e-5, atol=1e-5)
