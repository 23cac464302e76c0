"""Every normalizer against its printed formula, in plain Python, one row at a time."""

import math

import pytest
import torch

from attnkit.attention.normalizer import NORMALIZERS, Entmax, Sigmoid, Sink, Softmax, Sparsemax, TopK
from attnkit.attention.part import Dims, init_params

B, H, T, S = 2, 3, 6, 7


def drawn(part, seed=0, size=1.5, dtype=torch.float64):
    """Scores, a mask with rows that show nothing, one key and every key, and learned values that no head shares."""
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randn(B, H, T, S, generator=generator, dtype=torch.float64) * size
    allowed = torch.rand(B, 1, T, S, generator=generator) < 0.6
    allowed[:, :, 0] = False
    allowed[:, :, 1] = torch.arange(S) == 3
    allowed[:, :, 2] = True
    params = init_params(part, Dims(H, 4, 4), generator, torch.float64)
    params = {n: (x + torch.randn(x.shape, generator=generator, dtype=x.dtype)).to(dtype) for n, x in params.items()}
    return scores.to(dtype), allowed, params


def softmax(row, extra=0.0):
    total = extra + sum(math.exp(z) for z in row)
    return [math.exp(z) / total for z in row]


def entmax(row, alpha):
    """max((alpha - 1) z - tau, 0)^(1 / (alpha - 1)), tau by halving its bracket."""
    a = alpha - 1
    low, high = a * max(row) - 1, a * max(row)
    for _ in range(200):
        tau = (low + high) / 2
        total = sum(max(a * z - tau, 0.0) ** (1 / a) for z in row)
        low, high = (tau, high) if total >= 1 else (low, tau)
    return [max(a * z - low, 0.0) ** (1 / a) for z in row]


def top(row, k):
    chosen = sorted(range(len(row)), key=lambda s: (-row[s], s))[:k]
    total = sum(math.exp(row[s]) for s in chosen)
    return [math.exp(z) / total if s in chosen else 0.0 for s, z in enumerate(row)]


def logistic(x):
    return 1 / (1 + math.exp(-x))


# What a head h makes of a row that holds the visible scores alone.
FORMULAS = {
    Softmax(): lambda p, h, row: softmax(row),
    Sparsemax(): lambda p, h, row: entmax(row, 2.0),
    Entmax(1.0): lambda p, h, row: softmax(row),
    Entmax(1.03): lambda p, h, row: entmax(row, 1.03),
    Entmax(1.5): lambda p, h, row: entmax(row, 1.5),
    Entmax(1.8): lambda p, h, row: entmax(row, 1.8),
    Entmax(2.0): lambda p, h, row: entmax(row, 2.0),
    Entmax(None): lambda p, h, row: entmax(row, 1 + logistic(p["raw_alpha"][h])),
    Sigmoid(): lambda p, h, row: [logistic(z - math.log(len(row))) for z in row],
    Sigmoid(bias=-0.7): lambda p, h, row: [logistic(z - 0.7) for z in row],
    TopK(k=1): lambda p, h, row: top(row, 1),
    TopK(k=3): lambda p, h, row: top(row, 3),
    TopK(k=50): lambda p, h, row: softmax(row),
    Sink(): lambda p, h, row: softmax(row, extra=1.0),
    Sink(logit=-1.2): lambda p, h, row: softmax(row, extra=math.exp(-1.2)),
    Sink(logit=None): lambda p, h, row: softmax(row, extra=math.exp(p["logit"][h])),
}
every = pytest.mark.parametrize("part", FORMULAS, ids=repr)


def test_every_normalizer_has_a_formula():
    assert {type(part) for part in FORMULAS} == set(NORMALIZERS)


@every
@pytest.mark.parametrize("size", [0.3, 1.5, 8.0])
def test_formula(part, size):
    scores, allowed, params = drawn(part, size=size)
    rows = {name: value.tolist() for name, value in params.items()}
    for mask in (allowed, None):
        got = part.weights(scores, mask, params).tolist()
        for b in range(B):
            for h in range(H):
                for t in range(T):
                    seen = [s for s in range(S) if mask is None or mask[b, 0, t, s]]
                    want = [0.0] * S
                    shown = FORMULAS[part](rows, h, [scores[b, h, t, s].item() for s in seen]) if seen else []
                    for s, weight in zip(seen, shown, strict=True):
                        want[s] = weight
                    assert got[b][h][t] == pytest.approx(want, rel=1e-9, abs=1e-11), (b, h, t)


@every
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [0.0, 1.0, 1e4, 1e38])
def test_no_nan_zero_where_hidden_and_dtype_kept(part, dtype, size):
    scores, allowed, params = drawn(part, dtype=dtype)
    scores = (scores.clamp(-1, 1) * min(size, torch.finfo(dtype).max)).requires_grad_()
    leaves = [scores, *(value.requires_grad_() for value in params.values())]
    for mask in (allowed, allowed.any(-1, keepdim=True), None):
        weights = part.weights(scores, mask, params)
        assert weights.dtype == dtype and weights.isfinite().all() and (weights >= 0).all()
        first = torch.autograd.grad((weights.square() * torch.randn_like(weights)).sum(), leaves, create_graph=True)
        assert all(g.isfinite().all() for g in first)
        second = torch.autograd.grad(sum(g.square().sum() for g in first), leaves, allow_unused=True)
        assert all(g is None or g.isfinite().all() for g in second)
        if mask is not None:
            assert (weights[~mask.expand_as(weights)] == 0).all()
            assert (first[0][:, :, 0] == 0).all(), "a row that sees nothing has no gradient"
        if part.rows_sum_to_one:
            sees = torch.ones(B, H, T) if mask is None else torch.broadcast_to(mask, weights.shape).any(-1)
            near = max(4e-7, 2 * S * torch.finfo(dtype).eps)
            torch.testing.assert_close(weights.double().sum(-1), sees.expand(B, H, T).double(), rtol=0, atol=near)


@every
@pytest.mark.filterwarnings("ignore:Anomaly Detection")
def test_no_nan_is_born_on_the_way_back_either(part):
    scores, allowed, params = drawn(part)
    with torch.autograd.detect_anomaly(check_nan=True):
        weights = part.weights(scores.requires_grad_(), allowed, params)
        first = torch.autograd.grad(weights.square().sum(), scores, create_graph=True)[0]
        torch.autograd.grad(first.square().sum(), scores)


@every
def test_only_what_is_claimed_sums_to_one(part):
    scores, allowed, params = drawn(part)
    sums = part.weights(scores, allowed, params)[:, :, 2].sum(-1)
    assert part.rows_sum_to_one == bool((sums - 1).abs().max() < 1e-9)


@every
def test_first_and_second_derivatives(part):
    scores, allowed, params = drawn(part, seed=3)
    heads, rows = 2, [0, 2, 3]
    leaves = [scores[:1, :heads, rows].clone(), *(value[:heads].clone() for value in params.values())]
    leaves = [x.requires_grad_() for x in leaves]

    def weights(scores, *values):
        return part.weights(scores, allowed[:1, :, rows], dict(zip(params, values, strict=True)))

    assert torch.autograd.gradcheck(weights, leaves)
    assert torch.autograd.gradgradcheck(weights, leaves)


@pytest.mark.parametrize("alpha", [1.03, 1.5, 1.8, 2.0])
def test_jacobian_of_the_paper(alpha):
    # Peters, Niculae and Martins (2019), proposition 2: diag(g) - g g^T / sum(g), g = p^(2 - alpha) on the support.
    row = torch.randn(60, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    got = torch.autograd.functional.jacobian(
        lambda z: Entmax(alpha).weights(z[None, None, None], None, {})[0, 0, 0], row
    )
    g = [p ** (2 - alpha) if p > 0 else 0.0 for p in entmax(row.tolist(), alpha)]
    for s in range(60):
        want = [(g[s] if s == u else 0.0) - g[s] * g[u] / sum(g) for u in range(60)]
        assert got[s].tolist() == pytest.approx(want, rel=0, abs=1e-12)


@every
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_rounded_once(part, dtype):
    scores, allowed, params = drawn(part, dtype=dtype)
    got = part.weights(scores, allowed, params).double()
    want = part.weights(scores.double(), allowed, {name: value.double() for name, value in params.items()})
    assert ((got - want).abs() <= 0.51 * torch.finfo(dtype).eps * want + 1e-6).all()


@pytest.mark.parametrize("raw", [-40.0, -6.0, -2.9, -1.0, 0.0, 2.0, 5.0])
def test_entmax_gradient_by_alpha_is_the_finite_difference(raw):
    scores, allowed, _ = drawn(Softmax(), seed=5)
    aim = torch.randn(scores.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def loss(value):
        raws = torch.full((H,), value, dtype=torch.float64, requires_grad=True)
        return (Entmax(None).weights(scores, allowed, {"raw_alpha": raws}) * aim).sum(), raws

    value, raws = loss(raw)
    slope = torch.autograd.grad(value, raws)[0].sum().item()
    step = 1e-4
    near = (loss(raw + step)[0] - loss(raw - step)[0]).item() / (2 * step)
    assert slope == pytest.approx(near, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("raw", "end"), [(-800.0, Softmax()), (-60.0, Softmax()), (60.0, Sparsemax())])
def test_learned_alpha_reaches_both_ends(raw, end, dtype):
    scores, allowed, _ = drawn(end, dtype=dtype)
    raws = torch.full((H,), raw, dtype=dtype, requires_grad=True)
    got = Entmax(None).weights(scores.requires_grad_(), allowed, {"raw_alpha": raws})
    want = end.weights(scores, allowed, {})
    torch.testing.assert_close(got, want, rtol=0, atol=8 * torch.finfo(dtype).eps)
    aim = torch.randn_like(got)
    ours = torch.autograd.grad((got * aim).sum(), (scores, raws))
    torch.testing.assert_close(ours[0], torch.autograd.grad((want * aim).sum(), scores)[0])
    assert ours[1].isfinite().all()


@pytest.mark.parametrize("alpha", [1.01, 1.3, 1.5, 1.9])
def test_entmax_of_a_long_flat_and_of_a_steep_row(alpha):
    flat = Entmax(alpha).weights(torch.zeros(1, 1, 1, 4096), None, {})
    torch.testing.assert_close(flat, torch.full_like(flat, 1 / 4096), rtol=1e-4, atol=0)
    steep = Entmax(alpha).weights(torch.tensor([[[[1e4, -1e4, 0.0, 1e4]]]]), None, {})
    torch.testing.assert_close(steep, torch.tensor([[[[0.5, 0.0, 0.0, 0.5]]]]))


def test_sparse_weights_are_exactly_zero():
    row = torch.tensor([[[[2.0, 1.5, -1.0, -3.0]]]])
    assert (Sparsemax().weights(row, None, {})[0, 0, 0, 2:] == 0).all()
    assert (Entmax(1.5).weights(row, None, {})[0, 0, 0, 2:] == 0).all()


def test_top_k_breaks_ties_by_place_and_never_takes_more():
    allowed = torch.tensor([[[[False, True, True, True, True, False]]]])
    for dtype in (torch.float64, torch.float16):
        got = TopK(2).weights(torch.ones(1, 1, 1, 6, dtype=dtype), allowed, {})
        assert got.flatten().tolist() == [0, 0.5, 0.5, 0, 0, 0]
    many = TopK(5).weights(torch.zeros(1, 1, 1, 1000), None, {})
    assert (many > 0).flatten().nonzero().flatten().tolist() == [0, 1, 2, 3, 4]


def test_sigmoid_counts_what_is_visible_not_what_is_there():
    row = torch.tensor([[[[0.4, -1.0, 2.0]]]], dtype=torch.float64)
    padded = torch.nn.functional.pad(row, (0, 4), value=9.0)
    got = Sigmoid().weights(padded, torch.arange(7) < 3, {})
    torch.testing.assert_close(got[..., :3], Sigmoid().weights(row, None, {}))


def test_a_shift_of_the_row_changes_nothing():
    for part in (Softmax(), Sparsemax(), Entmax(1.5), TopK(3)):
        scores, allowed, params = drawn(part)
        got = part.weights(scores + 1e4, allowed, params)
        torch.testing.assert_close(got, part.weights(scores, allowed, params), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Entmax(0.99), "alpha"),
        (lambda: Entmax(2.01), "alpha"),
        (lambda: Entmax(math.nan), "alpha"),
        (lambda: Sigmoid(math.inf), "bias"),
        (lambda: TopK(0), "k"),
        (lambda: Sink(math.nan), "logit"),
    ],
)
def test_bad_settings_are_named(make, field):
    with pytest.raises(ValueError, match=rf"\.{field} must be .*; got "):
        make()
