"""Every position against its printed formula, in plain Python, one entry at a time."""

import math

import pytest
import torch

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, init_params
from attnkit.attention.position import (
    POSITIONS,
    Alibi,
    ClippedBias,
    Learned,
    NoPosition,
    RelativeBias,
    Rotary,
    Sinusoid,
)
from attnkit.attention.where import Where

B, H, D = 2, 3, 6
HERE = [0, 1, 2, 7, 300]


def learned(part, heads=H, width=D):
    generator = torch.Generator().manual_seed(1)
    params = init_params(part, Dims(heads, width, width), generator, torch.float64)
    return {n: x + 0.5 * torch.randn(x.shape, generator=generator, dtype=x.dtype) for n, x in params.items()}


def rows(width=D, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(B, H, len(HERE), width, generator=generator, dtype=torch.float64)


def by_sinusoid(part, p, x, place):
    angle = [place / part.base ** (2 * (n // 2) / len(x)) for n in range(len(x))]
    return [
        value + (math.sin(t) if n % 2 == 0 else math.cos(t)) for n, (value, t) in enumerate(zip(x, angle, strict=True))
    ]


def by_learned(part, p, x, place):
    return [value + row for value, row in zip(x, p["table"][max(place, 0)], strict=True)]


def by_rotary(part, p, x, place):
    out = list(x)
    half = len(x) // 2
    for m in range(half):
        a, b = (2 * m, 2 * m + 1) if part.interleaved else (m, m + half)
        t = place * part.base ** (-2 * m / len(x))
        out[a] = x[a] * math.cos(t) - x[b] * math.sin(t)
        out[b] = x[a] * math.sin(t) + x[b] * math.cos(t)
    return out


TURNS = {
    NoPosition(): lambda part, p, x, place: x,
    Sinusoid(): by_sinusoid,
    Sinusoid(base=50.0): by_sinusoid,
    Learned(max_positions=301): by_learned,
    Rotary(): by_rotary,
    Rotary(interleaved=True): by_rotary,
    Rotary(base=30.0): by_rotary,
}


def by_alibi(part, p, h, i, j):
    # H = 3: both slopes for two heads, then the first of the slopes for four.
    slope = [2.0**-4, 2.0**-8, 2.0**-2][h] if part.slope is None else part.slope
    return -slope * (p["gain"][h] if part.learned else 1) * abs(i - j)


def t5_bucket(part, distance):
    """The bucket of key minus query, as T5 prints it, its logarithms compared as whole numbers."""
    buckets, bucket = part.num_buckets, 0
    if part.bidirectional:
        buckets //= 2
        bucket = buckets if distance > 0 else 0
        distance = abs(distance)
    else:
        distance = max(-distance, 0)
    exact = buckets // 2
    if distance < exact:
        return bucket + distance
    steps = buckets - exact
    far = max(m for m in range(steps + 1) if distance**steps * exact**m >= part.max_distance**m * exact**steps)
    return bucket + min(exact + far, buckets - 1)


def by_relative(part, p, h, i, j):
    return p["table"][h][t5_bucket(part, j - i)]


def by_clipped(part, p, h, i, j):
    return p["table"][h][max(-part.max_distance, min(part.max_distance, j - i)) + part.max_distance]


BIASES = {
    Alibi(): by_alibi,
    Alibi(slope=0.3): by_alibi,
    Alibi(learned=True): by_alibi,
    RelativeBias(): by_relative,
    RelativeBias(bidirectional=False): by_relative,
    RelativeBias(num_buckets=10, max_distance=20): by_relative,
    RelativeBias(num_buckets=10, max_distance=1024): by_relative,
    ClippedBias(max_distance=4): by_clipped,
}


def test_every_position_has_a_formula():
    assert {type(part) for part in (*TURNS, *BIASES)} == set(POSITIONS)


@pytest.mark.parametrize("part", TURNS, ids=repr)
@pytest.mark.parametrize("batched", [False, True])
def test_turn(part, batched):
    x, params = rows(), learned(part)
    places = [HERE, HERE[::-1]] if batched else [HERE, HERE]
    got = part.turn(x, torch.tensor(places if batched else HERE), params).tolist()
    plain = {name: value.tolist() for name, value in params.items()}
    for b in range(B):
        for h in range(H):
            for n, place in enumerate(places[b]):
                want = TURNS[part](part, plain, x[b, h, n].tolist(), place)
                assert got[b][h][n] == pytest.approx(want, rel=1e-9, abs=1e-9), (b, h, place)
    assert part.bias(torch.zeros(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), params, H, torch.float64) is None


@pytest.mark.parametrize("part", BIASES, ids=repr)
@pytest.mark.parametrize("batched", [False, True])
def test_bias(part, batched):
    params = learned(part)
    queries = [[0, 3, 40, 200], [9, 8, 1, 64]] if batched else [[0, 3, 40, 200]]
    keys = [list(range(0, 330, 3)), list(range(110))] if batched else [list(range(330))]
    where = Where.of(4, len(keys[0]), query_position=torch.tensor(queries), key_position=torch.tensor(keys))
    got = part.bias(where.i, where.j, params, H, torch.float64)
    assert got.shape == (len(queries), H, 4, len(keys[0]))
    got, plain = got.tolist(), {name: value.tolist() for name, value in params.items()}
    for b in range(len(queries)):
        for h in range(H):
            for t, i in enumerate(queries[b]):
                want = [BIASES[part](part, plain, h, i, j) for j in keys[b]]
                assert got[b][h][t] == pytest.approx(want, rel=1e-12), (b, h, i)
    x = rows()
    assert part.turn(x, torch.tensor(HERE), params) is x


def test_relative_bias_at_the_boundaries_of_its_buckets():
    part = RelativeBias()
    places = torch.tensor([-128, -127, -64, -63, -32, -31, -16, -15, -8, -7, -1, 0, 1, 8, 16, 127, 4000])
    table = torch.arange(32.0).expand(1, 32)
    got = part.bias(
        torch.zeros(1, 1, 1, 1, dtype=torch.int64), places[None, None, None], {"table": table}, 1, torch.float32
    )
    assert got.flatten().tolist() == [15, 15, 14, 13, 12, 11, 10, 9, 8, 7, 1, 0, 17, 24, 26, 31, 31]


@pytest.mark.parametrize(
    ("heads", "slopes"),
    [
        (1, [2**-8]),
        (2, [2**-4, 2**-8]),
        (8, [2**-h for h in range(1, 9)]),
        (6, [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]),
        (12, [2**-h for h in range(1, 9)] + [2 ** -(h / 2) for h in (1, 3, 5, 7)]),
    ],
)
def test_alibi_slopes_of_the_paper(heads, slopes):
    i, j = torch.zeros(1, 1, 1, 1, dtype=torch.int64), torch.ones(1, 1, 1, 1, dtype=torch.int64)
    got = Alibi().bias(i, j, {}, heads, torch.float64)
    assert (-got).flatten().tolist() == pytest.approx(slopes, rel=1e-14)
    assert torch.equal(got, Alibi().bias(j, i, {}, heads, torch.float64))


def test_alibi_in_half_precision_is_the_penalty_rounded_once():
    i, j = torch.zeros(1, 1, 1, 1, dtype=torch.int64), torch.arange(600)[None, None, None]
    half, full = (Alibi(slope=0.3).bias(i, j, {}, 1, dtype) for dtype in (torch.bfloat16, torch.float64))
    assert ((half - full).abs() <= 2**-8 * 1.01 * full.abs()).all()


def test_a_learned_alibi_begins_as_the_fixed_one():
    q, k = torch.randn(2, 1, 4, 5, 6).unbind()
    fresh = init_params(Pairwise(position=Alibi(learned=True)), Dims(4, 6, 6))
    assert torch.equal(
        Pairwise(position=Alibi(learned=True)).matrix(q, k, None, fresh), Pairwise(position=Alibi()).matrix(q, k)
    )


@pytest.mark.parametrize("part", [Rotary(), Rotary(interleaved=True)], ids=repr)
def test_rotary_scores_depend_on_the_distance_alone(part):
    q, k = rows(seed=1), rows(seed=2)

    def scores(shift):
        place = torch.tensor(HERE) + shift
        return part.turn(q, place, {}) @ part.turn(k, place, {}).transpose(-1, -2)

    torch.testing.assert_close(scores(0), scores(-37), rtol=0, atol=1e-9)


def test_rotary_refuses_an_odd_width_as_soon_as_it_is_known():
    with pytest.raises(ValueError, match="head width 5; give an even width"):
        Rotary().turn(rows(5), torch.tensor(HERE), {})
    with pytest.raises(ValueError, match="head width 5; give an even width"):
        Rotary().parameters(Dims(2, 5, 4))


def test_sinusoid_of_an_odd_width_ends_in_a_sine():
    got = Sinusoid().turn(torch.zeros(1, 1, 1, 5, dtype=torch.float64), torch.tensor([3]), {}).flatten().tolist()
    want = [math.sin(3), math.cos(3), math.sin(3 / 10000**0.4), math.cos(3 / 10000**0.4), math.sin(3 / 10000**0.8)]
    assert got == pytest.approx(want, rel=1e-12)


def test_learned_says_how_many_positions_it_holds():
    part = Learned(max_positions=4)
    with pytest.raises(ValueError, match=r"Learned\(max_positions=4\) .* got 4; build it with max_positions >= 5"):
        part.turn(rows()[:, :, :1], torch.tensor([4]), learned(part))


def test_learned_gives_queries_before_the_first_key_its_row():
    part = Learned(max_positions=4)
    x, params = torch.zeros(1, 1, 3, D, dtype=torch.float64), learned(part)
    got = part.turn(x, torch.tensor([-2, -1, 0]), params)[0, 0]
    assert torch.equal(got, params["table"][[0, 0, 0]])


@pytest.mark.parametrize("part", [*TURNS, *BIASES], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dtype_kept_and_late_positions_told_apart(part, dtype):
    x = rows().to(dtype)
    params = {name: value.to(dtype) for name, value in learned(part).items()}
    assert part.turn(x, torch.tensor(HERE), params).dtype == dtype
    i, j = torch.tensor(2049)[None, None, None, None], torch.tensor([2048, 2049])[None, None, None]
    bias = part.bias(i, j, params, H, dtype)
    assert bias is None or (bias.dtype == dtype and (bias[..., 0] != bias[..., 1]).all())
    if isinstance(part, Rotary | Sinusoid):
        one = torch.ones(1, 1, 1, D, dtype=dtype)
        late = [part.turn(one, torch.tensor([place]), params) for place in (2048, 2049)]
        assert not torch.equal(*late)


@pytest.mark.parametrize("part", [*TURNS, *BIASES], ids=repr)
def test_derivatives_through_an_operator(part):
    operator = Pairwise(position=part)
    fresh = init_params(operator, Dims(2, 4, 4), torch.Generator().manual_seed(0), torch.float64)
    generator = torch.Generator().manual_seed(2)
    leaves = [torch.randn(1, 2, 2, 4, generator=generator, dtype=torch.float64) for _ in range(2)]
    leaves = [x.requires_grad_() for x in (*leaves, *fresh.values())]

    def matrix(q, k, *values):
        return operator.matrix(q, k, None, dict(zip(fresh, values, strict=True)))

    assert torch.autograd.gradcheck(matrix, leaves)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Sinusoid(base=1.0), "base"),
        (lambda: Rotary(base=math.inf), "base"),
        (lambda: Learned(max_positions=0), "max_positions"),
        (lambda: Alibi(slope=0.0), "slope"),
        (lambda: Alibi(slope=math.inf), "slope"),
        (lambda: RelativeBias(num_buckets=3), "num_buckets"),
        (lambda: RelativeBias(num_buckets=1, bidirectional=False), "num_buckets"),
        (lambda: RelativeBias(num_buckets=7), "num_buckets"),
        (lambda: RelativeBias(num_buckets=32, max_distance=8), "max_distance"),
        (lambda: ClippedBias(max_distance=0), "max_distance"),
    ],
)
def test_bad_settings_are_named(make, field):
    with pytest.raises(ValueError, match=rf"\.{field} must be .*; got "):
        make()
