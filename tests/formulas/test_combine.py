"""Sum, Mixture and Then against their printed formula in plain Python, and what they claim of what they hold."""

import math

import pytest
import torch
from torch import nn

from attnkit.attention.base import Attention, Claims
from attnkit.attention.combine import Mixture, Sum, Then
from attnkit.attention.factored import CausalLinear, Linear, Linformer, Nystrom
from attnkit.attention.heads import share_heads
from attnkit.attention.laws import check_attention
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, init_params
from attnkit.attention.pattern import Anchors, Causal, Documents, Segments, Window
from attnkit.attention.refine import HeadGate, Recurrent, TalkingHeads, Temperature
from attnkit.attention.where import Where

B, H, G, D, E = 3, 4, 2, 3, 2
DIMS = Dims(H, D, E)
SIZES = [(5, 5), (3, 6), (6, 4), (1, 5)]
FULL, CAUSAL, WINDOW = Pairwise(), Pairwise(pattern=Causal()), Pairwise(pattern=Window(3))
FAR = Pairwise(pattern=~Window(5))
GATED = Pairwise(pattern=Window(3), refine=(HeadGate(),))
ALL = [
    Sum((WINDOW, Linear())),
    Sum((GATED, FULL, CAUSAL)),
    Mixture((WINDOW, FAR)),
    Mixture((GATED, Linear(), Linformer(2, 20))),
    Then(FULL, Pairwise(pattern=Segments(2))),
    Then(Linear(), GATED),
    Then(Sum((WINDOW, FULL)), Mixture((CAUSAL, CausalLinear()))),
]
by_operator = pytest.mark.parametrize("operator", ALL, ids=range(len(ALL)))
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


def moved(part: Attention) -> dict[str, torch.Tensor]:
    start = init_params(part, DIMS, torch.Generator().manual_seed(6), torch.float64)
    return {name: x + drawn(7 + n, *x.shape) for n, (name, x) in enumerate(start.items())}


def below(params: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): x for name, x in params.items() if name.startswith(prefix)}


def agrees(operator: Attention, weight, T: int, S: int, params: dict[str, torch.Tensor]) -> None:
    """`weight(b, h, t, s)` is one entry of the map."""
    q, k, v = inputs(T, S)
    where = situation(T, S)
    entries = [weight(b, h, t, s) for b in range(B) for h in range(H) for t in range(T) for s in range(S)]
    expected = torch.tensor(entries, dtype=torch.float64).reshape(B, H, T, S)
    torch.testing.assert_close(operator.matrix(q, k, where, params), expected)
    torch.testing.assert_close(operator.mix(q, k, v, where, params), expected @ share_heads(v, H))


@by_size
def test_sum_formula(T: int, S: int) -> None:
    operator = Sum((GATED, Linear(), CAUSAL))
    params, (q, k, _), where = moved(operator), inputs(T, S), situation(T, S)
    maps = [part.matrix(q, k, where, below(params, f"{n}.")).tolist() for n, part in enumerate(operator.of)]
    agrees(operator, lambda b, h, t, s: sum(one[b][h][t][s] for one in maps), T, S, params)


@by_size
def test_mixture_formula(T: int, S: int) -> None:
    operator = Mixture((WINDOW, FAR, GATED))
    params, (q, k, _), where = moved(operator), inputs(T, S), situation(T, S)
    maps = [part.matrix(q, k, where, below(params, f"{n}.")).tolist() for n, part in enumerate(operator.of)]
    w, bias = params["gate.w"].tolist(), params["gate.b"].tolist()

    def weight(b, h, t, s):
        shares = []
        for c, one in enumerate(maps):
            logit = sum(q[b, h, t, d].item() * w[h][d][c] for d in range(D)) + bias[h][c]
            shares.append(math.exp(logit) if any(one[b][h][t]) else 0.0)
        return sum(g * one[b][h][t][s] for g, one in zip(shares, maps, strict=True)) / (sum(shares) or 1.0)

    agrees(operator, weight, T, S, params)


def test_a_fresh_mixture_shares_equally_among_those_that_see_something() -> None:
    q, k, _ = inputs(5, 5)
    params = init_params(Mixture((WINDOW, FAR)), DIMS, dtype=torch.float64)
    near, far = WINDOW.matrix(q, k), FAR.matrix(q, k)
    got = Mixture((WINDOW, FAR)).matrix(q, k, None, params)
    both = far.sum(-1, keepdim=True) > 0
    assert both.any() and not both.all()
    torch.testing.assert_close(got, torch.where(both, (near + far) / 2, near))


@by_size
def test_then_formula(T: int, S: int) -> None:
    operator = Then(second=GATED, first=Pairwise(pattern=Window(2), refine=(Temperature(),)))
    params, (q, k, _), where = moved(operator), inputs(T, S), situation(T, S)
    assert set(params) == {"first.refine.0.scale", "second.refine.0.gate"}
    outer = operator.second.matrix(q, k, where, below(params, "second.")).tolist()
    keys = Where(where.key_position, where.key_position, where.keep, where.keep)
    inner = operator.first.matrix(share_heads(k, H), k, keys, below(params, "first.")).tolist()

    def weight(b, h, t, s):
        return sum(outer[b][h][t][u] * inner[b][h][u][s] for u in range(S))

    agrees(operator, weight, T, S, params)


def test_then_mixes_within_segments_before_between_them() -> None:
    q, k, v = inputs(6, 6)
    operator = Then(FULL, Pairwise(pattern=Segments(count=2)))
    within = Pairwise(pattern=Segments(count=2)).mix(share_heads(k, H), k, v)
    torch.testing.assert_close(operator.mix(q, k, v), FULL.mix(q, k, within))
    ids = torch.tensor([0, 0, 1, 1, 1, 1])
    where = Where.of(6, 6, query_document=1 - ids, key_document=ids)
    inner = Then(FULL, Pairwise(pattern=Documents())).matrix(q, k, where)
    torch.testing.assert_close(inner[..., :2].sum(-1), FULL.matrix(q, k)[..., :2].sum(-1))


def test_parameters_stand_under_their_operators_names() -> None:
    assert set(Sum((GATED, FULL, GATED)).parameters(DIMS)) == {"0.refine.0.gate", "2.refine.0.gate"}
    gates = {name: spec.shape for name, spec in Mixture((FULL, GATED, FULL)).parameters(DIMS).items()}
    assert gates == {"1.refine.0.gate": (H,), "gate.w": (H, D, 3), "gate.b": (H, 3)}
    nested = Then(Sum((GATED, FULL)), Mixture((FULL, FULL))).parameters(DIMS)
    assert set(nested) == {"second.0.refine.0.gate", "first.gate.w", "first.gate.b"}


LINFORMER, SIGNED = Linformer(2, 64), Pairwise(refine=(TalkingHeads(),))
# The last row of this one is always empty.
LATER = Pairwise(pattern=~Causal())
CAUSAL_WINDOW = Pairwise(pattern=Window(3, causal=True))


@pytest.mark.parametrize(
    ("operator", "claims"),
    [
        (Sum((FULL, FULL)), Claims(False, True, False, True)),
        (Sum((CAUSAL, CausalLinear())), Claims(False, True, True, False)),
        (Sum((CAUSAL, FULL)), Claims(False, True, False, False)),
        (Sum((FULL, SIGNED)), Claims(False, False, False, True)),
        (Mixture((FULL, Linear())), Claims(True, True, False, True)),
        (Mixture((CAUSAL_WINDOW, CAUSAL)), Claims(True, True, True, False)),
        (Mixture((CAUSAL, FULL)), Claims(True, True, False, False)),
        (Mixture((FULL, LINFORMER)), Claims(False, False, False, False)),
        (Mixture((WINDOW, Pairwise(pattern=~Window(3)))), Claims(True, True, False, False)),
        (Then(FULL, Linear()), Claims(True, True, False, True)),
        (Then(CAUSAL, CAUSAL_WINDOW), Claims(True, True, True, False)),
        (Then(FULL, CAUSAL), Claims(True, True, False, False)),
        (Then(CAUSAL, FULL), Claims(True, True, False, False)),
        (Then(FULL, LATER), Claims(False, True, False, False)),
        (Then(LATER, FULL), Claims(True, True, False, False)),
        (Then(SIGNED, FULL), Claims(False, False, False, True)),
        (Then(FULL, Nystrom(3)), Claims(False, False, False, False)),
        (Then(FULL, Then(FULL, LATER)), Claims(False, True, False, False)),
        (Then(FULL, Sum((LATER, WINDOW))), Claims(False, True, False, False)),
        (Then(FULL, Mixture((LATER, WINDOW))), Claims(True, True, False, False)),
        (Then(FULL, Mixture((LATER, LATER))), Claims(False, True, False, False)),
    ],
    ids=range(21),
)
def test_claims_follow_from_the_operators_and_obey_the_laws(operator: Attention, claims: Claims) -> None:
    assert operator.claims() == claims
    report = check_attention(operator)
    assert report.ok, str(report)


def test_a_cache_is_refused_where_an_operator_refuses_it() -> None:
    pieces = Pairwise(pattern=Causal() & Segments(count=2))
    reason = pieces.refuses_cache()
    for operator in (Sum((CAUSAL, pieces)), Mixture((pieces, CAUSAL)), Then(CAUSAL, pieces), Then(pieces, CAUSAL)):
        assert reason and operator.refuses_cache() == reason
    for operator in (Sum((CAUSAL, CausalLinear())), Mixture((CAUSAL, CAUSAL)), Then(CAUSAL, CAUSAL)):
        assert operator.refuses_cache() is None


def test_a_lower_layers_rows_reach_those_that_read_them() -> None:
    reads = Pairwise(refine=(Recurrent(),))
    q, k, v = inputs(5, 5)
    state = torch.softmax(drawn(9, B, H, 5, 5), -1)
    for operator in (Sum((FULL, reads)), Mixture((reads, FULL)), Then(reads, FULL)):
        assert operator.needs_state
        params = moved(operator)
        matrix = operator.matrix(q, k, None, params, state)
        assert not torch.allclose(matrix, operator.matrix(q, k, None, params))
        torch.testing.assert_close(operator.mix(q, k, v, None, params, state), matrix @ share_heads(v, H))
    assert not Sum((FULL, FULL)).needs_state and not Then(FULL, FULL).needs_state
    with pytest.raises(ValueError, match=r"Then\.first"):
        Then(FULL, reads)


def test_sees_itself_follows_from_the_operators() -> None:
    assert Sum((FAR, WINDOW)).sees_itself and not Sum((FAR, FAR)).sees_itself
    assert Then(WINDOW, CAUSAL).sees_itself
    assert not Then(FAR, CAUSAL).sees_itself and not Then(CAUSAL, FAR).sees_itself
    assert not Pairwise(pattern=Anchors(1)).sees_itself


@by_operator
@by_size
def test_mix_is_the_matrix_on_the_values(operator: Attention, T: int, S: int) -> None:
    q, k, v = inputs(T, S)
    for where in (None, situation(T, S)):
        expected = operator.matrix(q, k, where, moved(operator)) @ share_heads(v, H)
        torch.testing.assert_close(operator.mix(q, k, v, where, moved(operator)), expected)


@by_operator
def test_gradients_beside_padding_and_in_an_empty_row(operator: Attention) -> None:
    q, k, v = (x.requires_grad_() for x in inputs(3, 4))
    params = {name: x.requires_grad_() for name, x in moved(operator).items()}
    where = situation(3, 4)

    def run(q, k, v, *values):
        return operator.mix(q, k, v, where, dict(zip(params, values, strict=True)))

    assert torch.autograd.gradcheck(run, (q, k, v, *params.values()), fast_mode=True)
    out = run(q, k, v, *params.values())
    assert torch.equal(out[2], torch.zeros_like(out[2]))
    for grad in torch.autograd.grad(out.square().sum(), (q, k, v, *params.values())):
        assert torch.isfinite(grad).all()


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Sum((FULL,)), "Sum.of"),
        (lambda: Sum((FULL, Causal())), "Sum.of"),
        (lambda: Mixture(()), "Mixture.of"),
        (lambda: Then(FULL, Causal()), "Then.first"),
        (lambda: Then(None, FULL), "Then.second"),
    ],
)
def test_a_bad_field_is_named(make, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        make()


def test_a_list_of_operators_is_taken_as_a_tuple() -> None:
    assert Sum([FULL, CAUSAL]) == Sum((FULL, CAUSAL)) and hash(Sum([FULL, CAUSAL])) == hash(Sum((FULL, CAUSAL)))


class Mixed(nn.Module):
    def __init__(self, operator: Attention) -> None:
        super().__init__()
        self.operator, self.names = operator, list(moved(operator))
        self.values = nn.ParameterList([x.float() for x in moved(operator).values()])

    def forward(self, q, k, v, keep, query_keep):
        where = Where.of(q.shape[2], k.shape[2], keep=keep, query_keep=query_keep)
        return self.operator.mix(q, k, v, where, dict(zip(self.names, self.values, strict=True)))


@by_operator
def test_exports_with_free_sizes(operator: Attention) -> None:
    def args(batch: int, T: int, S: int):
        q, k, v = drawn(1, batch, H, T, D), drawn(2, batch, G, S, D), drawn(3, batch, G, S, E)
        lengths = torch.arange(batch)[:, None] * 2
        return q.float(), k.float(), v.float(), torch.arange(S) < lengths, torch.arange(T) < lengths + 1

    dim = torch.export.Dim
    batch, queries, keys = dim("batch", min=2), dim("queries", min=2), dim("keys", min=2, max=20)
    shapes = ({0: batch, 2: queries}, *[{0: batch, 2: keys}] * 2, {0: batch, 1: keys}, {0: batch, 1: queries})
    module = Mixed(operator)
    exported = torch.export.export(module, args(3, 5, 7), dynamic_shapes=shapes).module()
    for sizes in ((3, 5, 7), (4, 9, 6), (2, 30, 20)):
        torch.testing.assert_close(exported(*args(*sizes)), module(*args(*sizes)), rtol=1e-4, atol=1e-5)
