"""Factored operators against their printed formula in plain Python, row by row, padding and T != S included."""

import math
import random

import pytest
import torch
from torch import nn

from attnkit.attention import factored as folder
from attnkit.attention.factored import FACTORED, CausalLinear, Linear, Linformer, Nystrom, Performer
from attnkit.attention.factored import causal_linear as causal_linear_file
from attnkit.attention.factored.performer import directions
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, init_params
from attnkit.attention.where import Where

B, H, G, D, E = 3, 2, 1, 4, 3
DIMS = Dims(H, D, E)
SIZES = [(6, 6), (3, 7), (7, 4), (1, 5), (1, 1)]
ALL = [Linear(), CausalLinear(), Performer(6), Linformer(3, 20), Nystrom(3), Nystrom(8)]
by_name = pytest.mark.parametrize("part", ALL, ids=str)
by_size = pytest.mark.parametrize(("T", "S"), SIZES)


def drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(T: int, S: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    return drawn(1, B, H, T, D), drawn(2, B, G, S, D), drawn(3, B, G, S, E)


def situation(T: int, S: int) -> Where:
    """Holes in the first item, nothing masked in the second, nothing real in the last."""
    keep = torch.rand((B, S), generator=torch.Generator().manual_seed(4)) < 0.6
    query_keep = torch.rand((B, T), generator=torch.Generator().manual_seed(5)) < 0.7
    keep[0, 0], keep[1], query_keep[1], keep[2] = True, True, True, False
    return Where.of(T, S, keep=keep, query_keep=query_keep)


def params_of(part) -> dict[str, torch.Tensor]:
    return init_params(part, DIMS, torch.Generator().manual_seed(6), torch.float64)


def agrees(part, row, T: int, S: int) -> None:
    """`row(q, keys, where, b, h, t)` gives the weights of one query on all S keys."""
    q, k, v = inputs(T, S)
    where, params = situation(T, S), params_of(part)
    for b in range(B):
        keys = k[b, 0].tolist()
        for h in range(H):
            expected = [
                row(q[b, h].tolist(), keys, where, b, h, t) if where.query_keep[b, t] else [0.0] * S for t in range(T)
            ]
            got = part.matrix(q, k, where, params)[b, h].tolist()
            for one, other in zip(got, expected, strict=True):
                assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
            mixed = part.mix(q, k, v, where, params)[b, h].tolist()
            for t in range(T):
                by_hand = [sum(expected[t][s] * v[b, 0, s, e].item() for s in range(S)) for e in range(E)]
                assert mixed[t] == pytest.approx(by_hand, rel=1e-9, abs=1e-12)


def dot(x, y) -> float:
    return sum(a * b for a, b in zip(x, y, strict=True))


def shares(products: list[float]) -> list[float]:
    return [x / sum(products) if sum(products) else 0.0 for x in products]


def softmax(scores: list[float | None]) -> list[float]:
    return shares([0.0 if z is None else math.exp(z) for z in scores])


def phi(x: list[float]) -> list[float]:
    return [a + 1 if a > 0 else math.exp(a) for a in x]


@by_size
def test_linear_formula(T: int, S: int) -> None:
    def row(q, k, where, b, h, t):
        return shares([dot(phi(q[t]), phi(k[s])) * where.keep[b, s].item() for s in range(S)])

    agrees(Linear(), row, T, S)


@by_size
@pytest.mark.parametrize("chunk", [1, 2, 64])
def test_causal_linear_formula(T: int, S: int, chunk: int, monkeypatch) -> None:
    monkeypatch.setattr(causal_linear_file, "CHUNK", chunk)

    def row(q, k, where, b, h, t):
        i = S - T + t
        return shares([dot(phi(q[t]), phi(k[s])) * (where.keep[b, s].item() and s <= i) for s in range(S)])

    agrees(CausalLinear(), row, T, S)


@pytest.mark.parametrize("chunk", [2, 64])
def test_causal_linear_follows_the_positions_of_each_item(chunk: int, monkeypatch) -> None:
    monkeypatch.setattr(causal_linear_file, "CHUNK", chunk)
    queries = torch.tensor([[5, 0, 2, 2], [9, 1, 1, -1], [0, 1, 2, 3]])
    keys = torch.tensor([[3, 1, 2, 0, 7], [0, 0, 9, 1, 4], [4, 3, 2, 1, 0]])
    q, k, v = inputs(4, 5)
    where = Where.of(4, 5, query_position=queries, key_position=keys)
    matrix = CausalLinear().matrix(q, k, where)
    assert torch.equal((matrix != 0)[:, 0], keys[:, None, :] <= queries[:, :, None])
    torch.testing.assert_close(CausalLinear().mix(q, k, v, where), matrix @ v)
    one_for_all = Where.of(4, 5, query_position=queries[0], key_position=keys)
    torch.testing.assert_close(CausalLinear().mix(q, k, v, one_for_all), CausalLinear().matrix(q, k, one_for_all) @ v)


@by_size
def test_performer_formula(T: int, S: int) -> None:
    part = Performer(features=6, seed=3)
    ws = directions(6, D, 3)

    def positive(x):
        x = [a / D**0.25 for a in x]
        return [math.exp(dot(w, x) - dot(x, x) / 2) for w in ws]

    def row(q, k, where, b, h, t):
        return shares([dot(positive(q[t]), positive(k[s])) * where.keep[b, s].item() for s in range(S)])

    agrees(part, row, T, S)


@pytest.mark.parametrize("norm", [40.0, 400.0])
def test_performer_rows_sum_to_one_at_large_norms(norm: float) -> None:
    q, k = (norm * nn.functional.normalize(drawn(seed, 2, 2, 9, 16), dim=-1).float() for seed in (1, 2))
    where = Where.of(9, 9, keep=torch.arange(9) < torch.tensor([[9], [4]]))
    q.requires_grad_()
    k.requires_grad_()
    matrix = Performer(32).matrix(q, k, where)
    torch.testing.assert_close(matrix.sum(-1), torch.ones(2, 2, 9))
    mixed = Performer(32).mix(q, k, torch.ones(2, 2, 9, 1), where)
    torch.testing.assert_close(mixed, torch.ones_like(mixed))
    exact = Performer(32).matrix(q.double(), k.double(), where)
    torch.testing.assert_close(matrix.double(), exact, rtol=0, atol=1e-6 * norm**2)
    assert all(torch.isfinite(grad).all() for grad in torch.autograd.grad(matrix.square().sum(), (q, k)))


def test_directions_are_orthogonal_in_groups_as_long_as_normal_vectors_and_follow_the_seed() -> None:
    ws = torch.tensor(directions(10, 4, 0), dtype=torch.float64)
    for group in (ws[:4], ws[4:8], ws[8:]):
        products = group @ group.T
        torch.testing.assert_close(products, torch.diag(products.diag()))
    assert directions(10, 4, 0) != directions(10, 4, 1)
    draw = random.Random(0)
    first = [draw.gauss(0, 1) for _ in range(4)]
    assert ws[0].div(ws[0].norm()).tolist() == pytest.approx([x / math.hypot(*first) for x in first])
    lengths = torch.tensor(directions(2000, 4, 1)).square().sum(-1)
    assert lengths.mean().item() == pytest.approx(4, abs=0.3) and lengths.var().item() == pytest.approx(8, abs=2)


def test_performer_nears_softmax_on_small_inputs() -> None:
    q, k = drawn(1, 1, 1, 5, D) * 0.5, drawn(2, 1, 1, 7, D) * 0.5
    exact = Pairwise().matrix(q, k)
    errors = [(Performer(n, seed=5).matrix(q, k) - exact).abs().max().item() for n in (4, 4000)]
    assert errors[1] < 0.01 < errors[0]


@by_size
def test_linformer_formula(T: int, S: int) -> None:
    part = Linformer(rank=3, max_keys=20)
    params = params_of(part)

    def row(q, k, where, b, h, t):
        e, f = (params[name][h].tolist() for name in ("project_k", "project_v"))
        real = [s for s in range(S) if where.keep[b, s]]
        keys = [[sum(e[r][s] * k[s][d] for s in real) for d in range(D)] for r in range(3)]
        weights = softmax([dot(q[t], key) / math.sqrt(D) for key in keys])
        return [sum(weights[r] * f[r][s] for r in range(3)) if s in real else 0.0 for s in range(S)]

    agrees(part, row, T, S)


def test_linformer_says_how_many_keys_it_was_built_for() -> None:
    part = Linformer(rank=3, max_keys=4)
    q, k, v = inputs(5, 5)
    sentence = r"Linformer\(rank=3\) was built for at most 4 keys and got 5; build it with max_keys >= 5"
    for call in (lambda: part.mix(q, k, v, None, params_of(part)), lambda: part.matrix(q, k, None, params_of(part))):
        with pytest.raises(ValueError, match=sentence):
            call()
    assert part.mix(q, k[:, :, :4], v[:, :, :4], None, params_of(part)).shape == (B, H, 5, E)


def product(a, b):
    return [[sum(a[r][m] * b[m][c] for m in range(len(b))) for c in range(len(b[0]))] for r in range(len(a))]


def shifted(a, diagonal: float):
    """diagonal * I - a."""
    return [[(diagonal if r == c else 0.0) - x for c, x in enumerate(row)] for r, row in enumerate(a)]


def means(x, real: list[int], count: int) -> list[list[float] | None]:
    runs: list[list[int]] = [[] for _ in range(count)]
    for rank, token in enumerate(real):
        runs[rank * count // len(real)].append(token)
    return [[sum(x[token][d] for token in run) / len(run) for d in range(D)] if run else None for run in runs]


def scaled(x, y) -> float | None:
    return None if x is None or y is None else dot(x, y) / math.sqrt(D)


@by_size
@pytest.mark.parametrize("part", [Nystrom(2), Nystrom(3, iterations=2), Nystrom(8)], ids=str)
def test_nystrom_formula(part: Nystrom, T: int, S: int) -> None:
    R = part.landmarks

    def row(q, k, where, b, h, t):
        real_q = [i for i in range(T) if where.query_keep[b, i]]
        real_k = [j for j in range(S) if where.keep[b, j]]
        if not real_k:
            return [0.0] * S
        mean_q, mean_k = means(q, real_q, R), means(k, real_k, R)
        left = [softmax([scaled(q[t], key) for key in mean_k])]
        middle = [softmax([scaled(one, key) for key in mean_k]) for one in mean_q]
        right = [softmax([scaled(one, k[s]) if s in real_k else None for s in range(S)]) for one in mean_q]
        most = max(sum(column) for column in zip(*middle, strict=True)) * max(sum(one) for one in middle)
        z = [[middle[c][r] / most for c in range(R)] for r in range(R)]
        for _ in range(part.iterations):
            az = product(middle, z)
            z = product(z, shifted(product(az, shifted(product(az, shifted(az, 7)), 15)), 13))
            z = [[x / 4 for x in one] for one in z]
        return product(product(left, z), right)[0]

    agrees(part, row, T, S)


def test_nystrom_with_a_landmark_for_each_token_is_softmax_attention() -> None:
    q, k, _ = inputs(5, 5)
    keep = torch.tensor([[True] * 5, [True] * 4 + [False], [True, False, True, True, False]])
    where = Where.of(5, 5, keep=keep, query_keep=keep)
    exact = Pairwise().matrix(q, k, where)
    torch.testing.assert_close(Nystrom(5, iterations=40).matrix(q, k, where), exact, rtol=0, atol=1e-8)


@by_name
@by_size
def test_mix_is_the_matrix_on_the_values_and_builds_no_map(part, T: int, S: int) -> None:
    q, k, v = inputs(T, S)
    for where in (None, situation(T, S)):
        expected = part.matrix(q, k, where, params_of(part)) @ v
        torch.testing.assert_close(part.mix(q, k, v, where, params_of(part)), expected)


@by_name
def test_mix_never_builds_a_map(part, monkeypatch) -> None:
    part = Linformer(3, 300) if isinstance(part, Linformer) else part
    T, S = 211, 223
    q, k, v = inputs(T, S)

    class Shapes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for x in out if isinstance(out, tuple | list) else (out,):
                if isinstance(x, torch.Tensor):
                    assert x.numel() < T * S, f"{func} made {tuple(x.shape)}"
            return out

    where = Where.of(T, S, keep=torch.ones(1, S, dtype=torch.bool))
    with Shapes():
        part.mix(q[:1, :1], k[:1], v[:1], where, {name: x[:1] for name, x in params_of(part).items()})


@by_name
def test_gradients_beside_padding_and_in_an_empty_row(part) -> None:
    q, k, v = (x.requires_grad_() for x in inputs(3, 4))
    params = {name: x[..., :4].detach().requires_grad_() for name, x in params_of(part).items()}
    part = Linformer(3, 4) if isinstance(part, Linformer) else part
    where = situation(3, 4)

    def run(q, k, v, *values):
        return part.mix(q, k, v, where, dict(zip(params, values, strict=True)))

    assert torch.autograd.gradcheck(run, (q, k, v, *params.values()))
    out = run(q, k, v, *params.values())
    assert torch.equal(out[2], torch.zeros_like(out[2]))
    for grad in torch.autograd.grad(out.square().sum(), (q, k, v)):
        assert torch.isfinite(grad).all() and torch.equal(grad[2], torch.zeros_like(grad[2]))


@by_name
@by_size
def test_padding_behind_changes_nothing(part, T: int, S: int) -> None:
    q, k, v = inputs(T, S)
    more = [torch.cat([x, 50 * drawn(7, *x.shape[:2], 3, x.shape[-1])], dim=2) for x in (q, k, v)]
    keep, query_keep = (torch.arange(L + 3) < L for L in (S, T))
    where = Where(torch.arange(S - T, S + 3), torch.arange(S + 3), keep.expand(B, -1), query_keep.expand(B, -1))
    padded = part.mix(*more, where, params_of(part))
    torch.testing.assert_close(padded[:, :, :T], part.mix(q, k, v, None, params_of(part)), rtol=1e-9, atol=1e-9)
    assert torch.equal(padded[:, :, T:], torch.zeros_like(padded[:, :, T:]))


@by_name
def test_low_precision_in_is_low_precision_out(part) -> None:
    q, k, v = (x.bfloat16() for x in inputs(4, 6))
    params = {name: x.bfloat16() for name, x in params_of(part).items()}
    assert part.mix(q, k, v, None, params).dtype == part.matrix(q, k, None, params).dtype == torch.bfloat16


def test_only_the_causal_one_takes_a_cache() -> None:
    for part in ALL:
        assert (part.refuses_cache() is None) == isinstance(part, CausalLinear)
        assert part.sees_itself


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Performer(features=0), "Performer.features"),
        (lambda: Linformer(0, 4), "Linformer.rank"),
        (lambda: Linformer(4, 0), "Linformer.max_keys"),
        (lambda: Nystrom(landmarks=1), "Nystrom.landmarks"),
        (lambda: Nystrom(4, iterations=0), "Nystrom.iterations"),
    ],
)
def test_a_bad_field_is_named(make, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        make()


def test_smallest_settings_are_accepted() -> None:
    assert Performer(1).features == Linformer(1, 1).rank == Nystrom(2, 1).iterations == 1


def test_every_operator_of_the_folder_stands_in_its_tuple() -> None:
    assert {x for x in vars(folder).values() if isinstance(x, type)} == set(FACTORED) == {type(part) for part in ALL}


class Mixed(nn.Module):
    def __init__(self, part) -> None:
        super().__init__()
        self.part = part
        self.params = nn.ParameterDict({name: x.float() for name, x in params_of(part).items()})

    def forward(self, q, k, v, keep, query_keep):
        where = Where.of(q.shape[2], k.shape[2], keep=keep, query_keep=query_keep)
        return self.part.mix(q, k, v, where, dict(self.params))


@by_name
def test_exports_with_free_sizes(part) -> None:
    def args(batch: int, T: int, S: int):
        q, k, v = drawn(1, batch, H, T, D), drawn(2, batch, G, S, D), drawn(3, batch, G, S, E)
        lengths = torch.arange(batch)[:, None] * 2
        return q.float(), k.float(), v.float(), torch.arange(S) < lengths, torch.arange(T) < lengths + 1

    dim = torch.export.Dim
    batch, queries, keys = dim("batch", min=2), dim("queries", min=2), dim("keys", min=2, max=20)
    shapes = ({0: batch, 2: queries}, *[{0: batch, 2: keys}] * 2, {0: batch, 1: keys}, {0: batch, 1: queries})
    module = Mixed(part)
    exported = torch.export.export(module, args(3, 5, 7), dynamic_shapes=shapes).module()
    for sizes in ((3, 5, 7), (4, 9, 6), (2, 70, 20)):
        torch.testing.assert_close(exported(*args(*sizes)), module(*args(*sizes)), rtol=1e-4, atol=1e-5)
