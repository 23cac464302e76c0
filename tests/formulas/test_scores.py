"""Every score against its printed formula, in plain Python, one pair at a time."""

import math

import pytest
import torch

from attnkit.attention.part import Dims, init_params
from attnkit.attention.score import (
    SCORES,
    Additive,
    Cosine,
    Dot,
    Euclidean,
    General,
    Location,
    ScaledDot,
    SoftCap,
)
from attnkit.attention.where import Where

B, H, T, S, D = 2, 3, 4, 5, 6


def drawn(part, seed=0, batch=B):
    """q, k, their Where, and learned values that no head shares, all float64."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.randn(batch, H, T, D, generator=generator, dtype=torch.float64)
    k = torch.randn(batch, H, S, D, generator=generator, dtype=torch.float64)
    params = init_params(part, Dims(H, D, D), generator, torch.float64)
    params = {n: x + 0.3 * torch.randn(x.shape, generator=generator, dtype=x.dtype) for n, x in params.items()}
    return q, k, Where.of(T, S), params


def dot(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def times(row, matrix):
    """row (D) @ matrix (D, n)."""
    return [sum(row[d] * matrix[d][n] for d in range(len(row))) for n in range(len(matrix[0]))]


def by_general(p, h, q, k, s):
    return dot(times(q, p["w"][h]), k)


def by_additive(p, h, q, k, s):
    left, right = times(q, p["w_q"][h]), times(k, p["w_k"][h])
    return sum(v * math.tanh(x + y + b) for v, x, y, b in zip(p["v"][h], left, right, p["b"][h], strict=True))


def cosine(q, k):
    return dot(q, k) / math.sqrt(dot(q, q)) / math.sqrt(dot(k, k))


def distance(q, k):
    return sum((x - y) ** 2 for x, y in zip(q, k, strict=True))


FORMULAS = {
    Dot(): lambda p, h, q, k, s: dot(q, k),
    ScaledDot(): lambda p, h, q, k, s: dot(q, k) / math.sqrt(D),
    ScaledDot(scale=-0.3): lambda p, h, q, k, s: -0.3 * dot(q, k),
    General(): by_general,
    Additive(hidden=7): by_additive,
    Cosine(scale=2.5): lambda p, h, q, k, s: 2.5 * cosine(q, k),
    Cosine(): lambda p, h, q, k, s: math.exp(p["log_scale"][h]) * cosine(q, k),
    Euclidean(width=1.7): lambda p, h, q, k, s: -distance(q, k) / (2 * 1.7**2),
    Euclidean(): lambda p, h, q, k, s: -distance(q, k) / (2 * math.exp(p["log_width"][h]) ** 2),
    Location(max_keys=8): lambda p, h, q, k, s: dot(p["w"][h][s], q),
    SoftCap(cap=0.8): lambda p, h, q, k, s: 0.8 * math.tanh(dot(q, k) / math.sqrt(D) / 0.8),
    SoftCap(Cosine(), cap=3.0): lambda p, h, q, k, s: (
        3 * math.tanh(math.exp(p["score.log_scale"][h]) * cosine(q, k) / 3)
    ),
}


def test_every_score_has_a_formula():
    assert {type(part) for part in FORMULAS} == set(SCORES)


@pytest.mark.parametrize("part", FORMULAS, ids=repr)
def test_formula(part):
    q, k, where, params = drawn(part)
    got = part.scores(q, k, where, params).tolist()
    rows = {name: value.tolist() for name, value in params.items()}
    queries, keys = q.tolist(), k.tolist()
    for b in range(B):
        for h in range(H):
            for t in range(T):
                for s in range(S):
                    want = FORMULAS[part](rows, h, queries[b][h][t], keys[b][h][s], s)
                    assert got[b][h][t][s] == pytest.approx(want, rel=1e-10, abs=1e-12), (b, h, t, s)


@pytest.mark.parametrize("part", FORMULAS, ids=repr)
def test_derivatives(part):
    q, k, _, params = drawn(part, batch=1)
    leaves = [x[:, :, :2].clone().requires_grad_() for x in (q, k)] + [x.requires_grad_() for x in params.values()]

    def scores(q, k, *values):
        return part.scores(q, k, Where.of(2, 2), dict(zip(params, values, strict=True)))

    assert torch.autograd.gradcheck(scores, leaves)
    assert torch.autograd.gradgradcheck(scores, leaves)


@pytest.mark.parametrize("part", FORMULAS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_dtype_kept_and_half_precision_near(part, dtype):
    q, k, where, params = drawn(part)
    got = part.scores(q.to(dtype), k.to(dtype), where, {name: value.to(dtype) for name, value in params.items()})
    assert got.dtype == dtype
    want = part.scores(q, k, where, params)
    # At most a few hundred roundings meet in one score of these sizes.
    assert (got.double() - want).abs().max() < 12 * torch.finfo(dtype).eps * max(1.0, want.abs().max().item())


def test_learned_scale_begins_where_it_says():
    assert init_params(Cosine(), Dims(2, 16, 16))["log_scale"].exp().tolist() == pytest.approx([10.0, 10.0])
    assert init_params(Euclidean(), Dims(2, 16, 16))["log_width"].exp().tolist() == pytest.approx([2.0, 2.0])


def test_unit_normal_rows_score_with_variance_near_one_at_first():
    generator = torch.Generator().manual_seed(0)
    q, k = (torch.randn(1, 8, 64, 32, generator=generator) for _ in range(2))
    for part in (General(), Additive(), Location()):
        params = init_params(part, Dims(8, 32, 32), generator)
        assert 0.5 < part.scores(q, k, Where.of(64, 64), params).std() < 2, part


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_cosine_does_not_depend_on_the_length(size):
    q, k, where, _ = drawn(Cosine())
    want = Cosine(1.0).scores(q, k, where, {})
    got = Cosine(1.0).scores((q * size).float(), (k / size).float(), where, {})
    torch.testing.assert_close(got, want.float(), rtol=0, atol=1e-6)


def test_cosine_of_a_zero_vector_is_zero_and_its_gradient_finite():
    q, k, where, _ = drawn(Cosine())
    q[:, :, 1] = 0
    k[:, :, 2] = 0
    q.requires_grad_()
    k.requires_grad_()
    scores = Cosine(1.0).scores(q, k, where, {})
    assert (scores[:, :, 1] == 0).all() and (scores[..., 2] == 0).all()
    grads = torch.autograd.grad(scores.square().sum() + scores.sum(), (q, k))
    assert all(g.isfinite().all() and g.abs().max() < 1e3 for g in grads)


def test_euclidean_keeps_its_digits_far_from_zero():
    q, k, where, _ = drawn(Euclidean())
    # Offsets that float32 holds exactly after rounding the data to 1/1024.
    q, k = ((x * 1024).round() / 1024 for x in (q, k))
    want = Euclidean(1.0).scores(q, k, where, {})
    got = Euclidean(1.0).scores((q + 1000).float(), (k + 1000).float(), where, {})
    torch.testing.assert_close(got.double(), want, rtol=1e-5, atol=1e-5)


def test_euclidean_around_the_first_real_key_not_around_padding():
    q, k, _, _ = drawn(Euclidean())
    keep = torch.tensor([[False, True, True, True, True], [False, False, True, True, False]])
    clean = Euclidean(1.0).scores(q.float(), k.float(), Where.of(T, S, keep=keep), {})
    dirty = torch.where(keep[:, None, :, None], k, 1e6).float()
    got = Euclidean(1.0).scores(q.float(), dirty, Where.of(T, S, keep=keep), {})
    shown = keep[:, None, None, :].expand_as(got)
    assert torch.equal(got[shown], clean[shown])


def test_location_reads_the_positions_it_is_given():
    part = Location(max_keys=10)
    q, k, _, params = drawn(part)
    moved = torch.tensor([[9, 0, 3, 3, 1], [2, 4, 6, 8, 0]])
    got = part.scores(q, k, Where.of(T, S, key_position=moved), params)
    for b in range(B):
        for s in range(S):
            want = torch.einsum("htd,hd->ht", q[b], params["w"][:, moved[b, s]])
            torch.testing.assert_close(got[b, :, :, s], want)


def test_location_says_how_many_keys_it_holds():
    part = Location(max_keys=4)
    q, k, where, params = drawn(part)
    with pytest.raises(ValueError, match=r"Location\(max_keys=4\) .* got 4; build it with max_keys >= 5"):
        part.scores(q, k, where, params)
    with pytest.raises(ValueError, match=r"no negative position and got -1"):
        part.scores(q, k, Where.of(T, S, key_position=torch.arange(S) - 1), params)


def test_only_location_looks_at_where_a_key_stands():
    assert [part for part in FORMULAS if not part.order_free] == [Location(max_keys=8)]
    assert not SoftCap(Location()).order_free


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Additive(hidden=0), "hidden"),
        (lambda: Cosine(scale=0.0), "scale"),
        (lambda: Cosine(scale=math.inf), "scale"),
        (lambda: ScaledDot(scale=math.nan), "scale"),
        (lambda: Euclidean(width=0.0), "width"),
        (lambda: Euclidean(width=-1.0), "width"),
        (lambda: Euclidean(width=math.inf), "width"),
        (lambda: Location(max_keys=0), "max_keys"),
        (lambda: SoftCap(cap=0.0), "cap"),
        (lambda: SoftCap(cap=math.inf), "cap"),
        (lambda: SoftCap(score="dot"), "score"),
    ],
)
def test_bad_settings_are_named(make, field):
    with pytest.raises(ValueError, match=rf"\.{field} must be .*; got "):
        make()
