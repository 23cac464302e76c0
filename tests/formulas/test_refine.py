"""Refinements against their printed formula in plain Python."""

import math

import pytest
import torch

from attnkit.attention import refine as folder
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Documents, Full, Window
from attnkit.attention.refine import (
    REFINEMENTS,
    Convolution,
    HeadGate,
    Recurrent,
    Span,
    TalkingHeads,
    Temperature,
)
from attnkit.attention.where import Where
from tests.formulas.refined import (
    ALL,
    B,
    D,
    H,
    by_size,
    drawn,
    kept,
    maps,
    moved,
    on_both,
    situation,
)


def every(T: int, S: int):
    return ((b, h, t, s) for b in range(B) for h in range(H) for t in range(T) for s in range(S))


def agrees(got: torch.Tensor, formula, T: int, S: int) -> None:
    expected = torch.tensor([formula(*index) for index in every(T, S)], dtype=torch.float64).reshape(B, H, T, S)
    torch.testing.assert_close(got, expected, rtol=1e-12, atol=1e-12)


@by_size
@pytest.mark.parametrize("log_length", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_temperature_formula(T: int, S: int, log_length: bool, masked: bool) -> None:
    part = Temperature(log_length)
    where, allowed = situation(T, S, Window(3))
    scores, params = drawn(3, B, H, T, S), moved(part)
    got = part.on_scores(scores, allowed if masked else None, where, params, None)

    def formula(b, h, t, s):
        factor = params["scale"][h].item()
        if log_length:
            visible = sum(allowed[b, 0, t].tolist()) if masked else S
            factor += params["log_scale"][h].item() * (math.log(visible) if visible else 0.0)
        return scores[b, h, t, s].item() * factor

    agrees(got, formula, T, S)


def test_temperature_counts_keys_where_only_queries_are_masked() -> None:
    part, scores = Temperature(log_length=True), drawn(3, B, H, 4, 5)
    where = Where.of(4, 5, query_keep=kept(2, 4))
    params = {"scale": torch.zeros(H), "log_scale": torch.ones(H)}
    got = part.on_scores(scores, Pairwise().allowed(where), where, params, None)
    real = where.query_keep[:, None, :, None]
    torch.testing.assert_close(got, scores * math.log(5) * real, rtol=1e-6, atol=1e-6)


@by_size
@pytest.mark.parametrize("pattern", [Causal(), ~Window(3), Full()], ids=str)
def test_span_formula(T: int, S: int, pattern) -> None:
    part = Span(max_tokens=5, ramp_tokens=2)
    where, allowed = situation(T, S, pattern)
    allowed = allowed.expand(B, 1, T, S)
    weights = maps(4, allowed, T, S)
    params = {"span": torch.tensor([-0.3, 0.37, 0.8], dtype=torch.float64)}
    got = part.on_weights(weights, allowed, where, params, None)
    i, j = where.query_position.tolist(), where.key_position.tolist()

    def formula(b, h, t, s):
        row = weights[b, h, t].tolist()
        if sum(row) == 0:
            return 0.0
        nearest = min(abs(i[t] - j[u]) for u in range(S) if row[u] > 0)
        z = 5 * min(max(params["span"][h].item(), 0.0), 1.0)

        def m(u):
            return min(max((2 + z - min(abs(i[t] - j[u]) - nearest, 5)) / 2, 0.0), 1.0)

        near = [m(u) * row[u] for u in range(S)]
        return near[s] * sum(row) / sum(near)

    agrees(got, formula, T, S)
    torch.testing.assert_close(got.sum(-1), weights.sum(-1), rtol=1e-12, atol=1e-12)


def test_a_span_forgets_what_is_far() -> None:
    weights, where = torch.full((1, 1, 8, 8), 0.125), Where.of(8, 8)
    got = Span(max_tokens=8, ramp_tokens=1).on_weights(weights, None, where, {"span": torch.tensor([0.25])}, None)
    assert (got != 0).sum(-1)[0, 0].tolist() == [3, 4, 5, 5, 5, 5, 4, 3]
    far = Span(max_tokens=2, ramp_tokens=1).on_weights(weights, None, where, {"span": torch.tensor([1.0])}, None)
    assert torch.equal(far, weights), "at the identity nothing is too far, whatever max_tokens says"


def test_a_span_counts_tokens_exactly_in_low_precision() -> None:
    weights, where = torch.full((1, 1, 1, 2000), 2.0**-11, dtype=torch.bfloat16), Where.of(1, 2000)
    part, params = Span(max_tokens=2000, ramp_tokens=1), {"span": torch.tensor([0.5])}
    assert int((part.on_weights(weights, None, where, params, None) != 0).sum()) == 1001


@by_size
def test_talking_heads_formula(T: int, S: int) -> None:
    where, allowed = situation(T, S)
    scores, weights = drawn(3, B, H, T, S), maps(4, allowed, T, S)
    part = TalkingHeads()
    params = moved(part)
    got_scores, got_weights = on_both(part, scores, weights, allowed, where, params)

    def mixed(x, mix):
        return lambda b, h, t, s: sum(x[b, g, t, s].item() * mix[g, h].item() for g in range(H))

    agrees(got_scores, mixed(scores, params["score_mix"]), T, S)
    agrees(got_weights, mixed(weights, params["weight_mix"]), T, S)
    one_side = on_both(TalkingHeads(scores=False), scores, weights, allowed, where, params)
    assert one_side[0] is scores and torch.equal(one_side[1], got_weights)
    one_side = on_both(TalkingHeads(weights=False), scores, weights, allowed, where, params)
    assert torch.equal(one_side[0], got_scores) and one_side[1] is weights


@by_size
@pytest.mark.parametrize(
    "part",
    [
        Convolution(),
        Convolution(3, 5),
        Convolution(5, 3),
        Convolution(2, 4, causal=True),
        Convolution(1, 2, causal=True),
    ],
    ids=str,
)
@pytest.mark.parametrize("masked", [False, True])
def test_convolution_formula(part: Convolution, T: int, S: int, masked: bool) -> None:
    where, allowed = situation(T, S)
    weights, kernel = maps(4, allowed, T, S), drawn(5, H, part.queries, part.keys)
    got = part.on_weights(weights, allowed if masked else None, where, {"kernel": kernel}, None)
    above, left = (part.queries - 1, part.keys - 1) if part.causal else (part.queries // 2, part.keys // 2)

    def formula(b, h, t, s):
        if masked and not allowed[b, 0, t, s]:
            return 0.0
        total = weights[b, h, t, s].item()
        for a in range(part.queries):
            for c in range(part.keys):
                row, column = t - above + a, s - left + c
                if 0 <= row < T and 0 <= column < S:
                    total += kernel[h, a, c].item() * weights[b, h, row, column].item()
        return total

    agrees(got, formula, T, S)


@pytest.mark.parametrize("part", [Convolution(3, 3), Convolution(3, 2, causal=True)], ids=str)
def test_convolution_of_packed_documents_equals_each_alone(part: Convolution) -> None:
    ids = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    where = Where.of(7, 7, query_document=ids, key_document=ids)
    q, k = drawn(1, 1, H, 7, D), drawn(2, 1, H, 7, D)
    params = {"refine.0.kernel": drawn(5, H, part.queries, part.keys)}
    packed = Pairwise(pattern=Documents(), refine=(part,)).matrix(q, k, where, params)
    for piece in (slice(0, 3), slice(3, 7)):
        alone = Pairwise(refine=(part,)).matrix(q[:, :, piece], k[:, :, piece], None, params)
        torch.testing.assert_close(packed[:, :, piece, piece], alone)


def test_convolution_reads_later_rows_only_where_it_says_so() -> None:
    q, k = drawn(1, 1, H, 6, D), drawn(2, 1, H, 6, D)
    later = k.clone()
    later[:, :, 4:] = 7.0
    for part in (Convolution(3, 3), Convolution(1, 5), Convolution(3, 4, causal=True)):
        operator = Pairwise(pattern=Causal(), refine=(part,))
        params = {"refine.0.kernel": drawn(5, H, part.queries, part.keys)}
        before, after = (operator.matrix(q, x, None, params)[:, :, :4] for x in (k, later))
        assert torch.allclose(before, after) == part.keeps_causal == operator.claims().causal
    assert Convolution(1, 3).refuses_cache() is None
    assert "queries=2" in Convolution(2, 3, causal=True).refuses_cache()


@by_size
@pytest.mark.parametrize("lower_pattern", [Causal(), Window(3), ~Causal()], ids=str)
def test_recurrent_formula(T: int, S: int, lower_pattern) -> None:
    where, allowed = situation(T, S)
    weights = maps(4, allowed, T, S)
    state = maps(6, Pairwise(pattern=lower_pattern).allowed(where), T, S)
    params = moved(Recurrent())
    got = Recurrent().on_weights(weights, allowed, where, params, state)

    def formula(b, h, t, s):
        mine, lower = weights[b, h, t].tolist(), state[b, h, t].tolist()
        seen = [x if ok else 0.0 for x, ok in zip(lower, allowed[b, 0, t].tolist(), strict=True)]
        if sum(seen) == 0:
            return mine[s]
        return mine[s] + params["gate"][h].item() * (seen[s] * sum(lower) / sum(seen) - mine[s])

    agrees(got, formula, T, S)
    torch.testing.assert_close(got.sum(-1), weights.sum(-1), rtol=1e-12, atol=1e-12)


def test_recurrent_without_a_lower_layer_and_with_a_wrong_one() -> None:
    where, weights, params = Where.of(3, 4), drawn(1, B, H, 3, 4), {"gate": torch.ones(H)}
    assert Recurrent().on_weights(weights, None, where, params, None) is weights
    one_map = drawn(2, B, 1, 3, 4)
    expected = one_map.expand_as(weights)
    torch.testing.assert_close(Recurrent().on_weights(weights, None, where, params, one_map), expected)
    for shape in ((B, H, 4, 4), (B, H, 3, 3), (B, 2, 3, 4), (H, 3, 4)):
        with pytest.raises(ValueError, match="the same heads and tokens"):
            Recurrent().on_weights(weights, None, where, params, torch.zeros(shape))


@by_size
def test_head_gate_formula(T: int, S: int) -> None:
    where, allowed = situation(T, S)
    weights, gate = maps(4, allowed, T, S), torch.tensor([0.5, -2.0, 3.0], dtype=torch.float64)
    got = HeadGate().on_weights(weights, allowed, where, {"gate": gate}, None)
    agrees(got, lambda b, h, t, s: max(gate[h].item(), 0.0) * weights[b, h, t, s].item(), T, S)


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: Span(max_tokens=0), "Span.max_tokens"),
        (lambda: Span(ramp_tokens=0), "Span.ramp_tokens"),
        (lambda: TalkingHeads(False, False), "scores=False and weights=False"),
        (lambda: Convolution(0), "Convolution.queries"),
        (lambda: Convolution(2), "Convolution.queries"),
        (lambda: Convolution(keys=1), "Convolution.keys"),
        (lambda: Convolution(keys=4), "Convolution.keys"),
        (lambda: Convolution(0, 2, causal=True), "Convolution.queries"),
        (lambda: Convolution(1, 1, causal=True), "Convolution.keys"),
    ],
)
def test_a_bad_field_is_named(make, field: str) -> None:
    with pytest.raises(ValueError, match=field):
        make()


def test_smallest_settings_are_accepted() -> None:
    assert Span(1, 1).max_tokens == Convolution(1, 2, causal=True).queries == 1


def test_every_refinement_of_the_folder_stands_in_its_tuple() -> None:
    assert {x for x in vars(folder).values() if isinstance(x, type)} == set(REFINEMENTS)
    assert {type(part) for part in ALL} == set(REFINEMENTS)
