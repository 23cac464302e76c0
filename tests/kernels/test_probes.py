"""probes: statistics of maps that are never built, held to those of the map."""

import math

import pytest
import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.combine import Sum
from attnkit.attention.factored import CausalLinear, Linear, Linformer, Nystrom, Performer
from attnkit.attention.normalizer import Entmax, Sigmoid, Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Window
from attnkit.attention.position import Alibi, Rotary
from attnkit.attention.refine import Convolution
from attnkit.attention.score import Additive, Cosine, Dot, Euclidean, General
from attnkit.attention.where import Where
from attnkit.kernels import functionals
from attnkit.kernels.functionals import column_functional, mixed_with_entropy, row_functional, wide_call
from attnkit.kernels.probes import membership, pooled, received, row_statistics, top_keys
from tests.kernels.agree import draw, holes, shaken_params

T, S = 11, 14
FUSED: list[Attention] = [
    Pairwise(),
    Pairwise(score=Dot()),
    Pairwise(pattern=Causal()),
    Pairwise(pattern=Window(5)),
    Pairwise(score=Euclidean(width=1.5), pattern=Window(4, causal=True)),
    Pairwise(score=Cosine(scale=4.0), position=Rotary()),
]
OTHERS: list[Attention] = [
    Pairwise(position=Alibi(), pattern=Causal()),
    Pairwise(score=Additive(4)),
    Pairwise(normalizer=Sparsemax()),
    Pairwise(normalizer=Sigmoid()),
    Pairwise(normalizer=Entmax(), refine=(Convolution(queries=3, keys=3),)),
    Sum((Pairwise(pattern=Window(3)), Linear())),
    Linear(),
    CausalLinear(),
    Performer(8),
]
SIGNED: list[Attention] = [Nystrom(4), Linformer(3, 20)]
WHERES = {
    "plain": None,
    "padded": Where.of(T, S, keep=holes(2, S), query_keep=holes(2, T, seed=4)),
    "placed": Where.of(
        T,
        S,
        keep=holes(2, S),
        query_position=torch.arange(T) * 3 - 2,
        key_position=torch.stack([torch.arange(S) * 2, torch.arange(S).flip(0)]),
    ),
}


@pytest.fixture(autouse=True)
def small_slabs_and_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slabs of a few queries and calls of a few values, so that short sequences have many."""
    monkeypatch.setattr(functionals, "HEIGHTS", (4,))
    monkeypatch.setattr(functionals, "WIDTH", 4)


def given(spec: Attention) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    q, k, _ = draw(0, T, S, G=2)
    params = {name: value.detach() for name, value in shaken_params(spec, 4, 8, 8).items()}
    return q.detach(), k.detach(), params


def shares(a_BHTS: Tensor) -> tuple[Tensor, Tensor]:
    """p and the rows' sums."""
    total = a_BHTS.sum(-1, keepdim=True)
    return a_BHTS / total.masked_fill(total == 0, 1.0), total.squeeze(-1)


@pytest.mark.parametrize("where", WHERES.values(), ids=WHERES.keys())
@pytest.mark.parametrize("spec", FUSED + OTHERS + SIGNED, ids=str)
def test_functionals_of_rows_and_columns_are_those_of_the_map(spec: Attention, where: Where | None) -> None:
    q, k, params = given(spec)
    a_BHTS = spec.matrix(q, k, where, params)
    generator = torch.Generator().manual_seed(2)
    # More columns than one call takes.
    values, asked = (torch.randn(2, L, 70, dtype=torch.float64, generator=generator) for L in (S, T))
    told = {"where": where, "params": params}
    torch.testing.assert_close(row_functional(q, k, values, spec, **told), a_BHTS @ values[:, None])
    torch.testing.assert_close(row_functional(q, k, values[0], spec, **told), a_BHTS @ values[0])
    torch.testing.assert_close(column_functional(q, k, asked, spec, **told), a_BHTS.mT @ asked[:, None])
    each = torch.randn(2, 4, T, 3, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(column_functional(q, k, each, spec, **told), a_BHTS.mT @ each)


@pytest.mark.parametrize("where", WHERES.values(), ids=WHERES.keys())
@pytest.mark.parametrize("spec", FUSED + OTHERS + SIGNED, ids=str)
def test_row_statistics_are_those_of_the_map(spec: Attention, where: Where | None) -> None:
    q, k, params = given(spec)
    a_BHTS = spec.matrix(q, k, where, params)
    there = Where.of(T, S) if where is None else where
    p, total = shares(a_BHTS)
    sees = total != 0
    j, i = there.j.double(), there.i.double()
    position = (p * j).sum(-1)
    got = row_statistics(q, k, spec, where=where, params=params)
    torch.testing.assert_close(got.total_BHT, total)
    torch.testing.assert_close(got.position_BHT, position)
    spread = (p * (j - position[..., None]).square()).sum(-1).clamp(min=0.0).sqrt()
    distance = (p * (j - i).square()).sum(-1).clamp(min=0.0).sqrt()
    torch.testing.assert_close(got.spread_BHT.square(), spread.square(), rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(got.distance_BHT.square(), distance.square(), rtol=1e-7, atol=1e-9)
    first = torch.zeros(2, dtype=torch.int64) if there.keep is None else there.keep.int().argmax(-1)
    expected = a_BHTS[torch.arange(2), :, :, first]
    torch.testing.assert_close(got.first_BHT, expected.masked_fill(~sees, 0.0))
    if spec.claims().nonnegative:
        torch.testing.assert_close(got.entropy_BHT, -torch.xlogy(p, p).sum(-1), atol=1e-8, rtol=1e-7)
    else:
        assert got.entropy_BHT is None


@pytest.mark.parametrize("spec", FUSED, ids=str)
def test_entropy_without_the_private_operator_is_the_same(spec: Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, params = given(spec)
    where = WHERES["padded"]
    values = torch.randn(2, 2, S, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    call = wide_call(q, k, where, params, None)
    fused = mixed_with_entropy(spec, call, values)
    monkeypatch.setattr(functionals, "needs_fused_operator", lambda situation: "not there")
    for one, other in zip(fused, mixed_with_entropy(spec, call, values), strict=True):
        torch.testing.assert_close(one, other)


def test_the_private_operator_gives_the_log_sums_as_it_did() -> None:
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    q, k, v = (x.detach() for x in draw(0, 5, 7))
    mask = torch.zeros(1, 1, 5, 7, dtype=torch.float64)
    mask[..., 0, :] = -math.inf
    mask[..., 1, 3:] = -math.inf
    out, log_sum = fused(q, k, v, 0.0, False, attn_mask=mask, scale=0.3)
    scores = 0.3 * q @ k.mT + mask
    torch.testing.assert_close(log_sum[:, :, 1:], scores.logsumexp(-1)[:, :, 1:])
    torch.testing.assert_close(out[:, :, 1:], (scores.softmax(-1) @ v)[:, :, 1:])
    # A row that meets nothing has the log sum 0 and so, its products being 0 too, the entropy 0.
    for empty in (log_sum[:, :, 0], out[:, :, 0]):
        assert torch.equal(empty, torch.zeros_like(empty))


@pytest.mark.parametrize("where", WHERES.values(), ids=WHERES.keys())
@pytest.mark.parametrize("spec", [FUSED[0], FUSED[2], OTHERS[2], Linear()], ids=str)
@pytest.mark.parametrize("blocks", [1, 3, 64])
def test_pooled_maps_and_received_weights(spec: Attention, where: Where | None, blocks: int) -> None:
    q, k, params = given(spec)
    a_BHTS = spec.matrix(q, k, where, params)
    of_t, of_s = min(blocks, T), min(blocks, S)
    expected = torch.zeros(2, 4, of_t, of_s, dtype=torch.float64)
    counts = torch.zeros(2, of_t, dtype=torch.float64)
    per_block = torch.zeros(2, 4, blocks, S, dtype=torch.float64)
    for t in range(T):
        real = torch.ones(2) if where is None or where.query_keep is None else where.query_keep[:, t].double()
        counts[:, t * of_t // T] += real
        per_block[:, :, t * blocks // T] += a_BHTS[:, :, t]
        for s in range(S):
            expected[:, :, t * of_t // T, s * of_s // S] += a_BHTS[:, :, t, s]
    expected = expected / counts.clamp(min=1)[:, None, :, None]
    torch.testing.assert_close(pooled(q, k, spec, where=where, params=params, blocks=blocks), expected)
    torch.testing.assert_close(received(q, k, spec, where=where, params=params, blocks=blocks), per_block)


@pytest.mark.parametrize("where", WHERES.values(), ids=WHERES.keys())
@pytest.mark.parametrize("spec", [FUSED[0], FUSED[2], OTHERS[2], OTHERS[4], Linear(), Nystrom(4)], ids=str)
@pytest.mark.parametrize("count", [1, 5, 20])
def test_top_keys_are_those_of_the_map(spec: Attention, where: Where | None, count: int) -> None:
    q, k, params = given(spec)
    a_BHTS = spec.matrix(q, k, where, params)
    values, indices = top_keys(q, k, spec, where=where, params=params, count=count)
    assert values.shape == indices.shape == (2, 4, T, count)
    if spec.claims().nonnegative:
        expected = torch.cat([a_BHTS, a_BHTS.new_zeros(2, 4, T, count)], dim=-1).topk(count, dim=-1).values
        torch.testing.assert_close(values, expected)
    there = indices >= 0
    torch.testing.assert_close(
        a_BHTS.gather(-1, indices.clamp(min=0)).masked_fill(~there, 0.0), values, rtol=1e-7, atol=1e-9
    )
    assert torch.equal(there, values != 0)


def test_columns_of_any_operator_are_read_some_at_a_time() -> None:
    q, k, _ = given(Linear())
    a_BHTS = Linear().matrix(q, k)
    call = wide_call(q, k, None, None, None)
    parts = list(functionals.weight_columns(Linear(), call))
    assert [part.start for part, _ in parts] == [0, 8]
    torch.testing.assert_close(torch.cat([x for _, x in parts], dim=-1), a_BHTS)
    values, indices = top_keys(q, k, Linear(), count=3)
    expected = a_BHTS.topk(3, dim=-1)
    torch.testing.assert_close(values, expected.values)
    assert torch.equal(indices, expected.indices)


def test_a_narrow_row_far_from_the_beginning_keeps_its_digits_in_float32() -> None:
    length = 6000
    k = torch.randn(1, 1, length, 8, generator=torch.Generator().manual_seed(0))
    q = torch.randn(1, 1, 4, 8, generator=torch.Generator().manual_seed(1))
    where = Where.of(4, length, query_position=torch.full((4,), length - 1), key_position=torch.arange(length))
    spec = Pairwise(pattern=Window(7, causal=True))
    a = spec.matrix(q.double(), k.double(), where)[0, 0]
    j = torch.arange(length).double()
    position = a @ j
    spread = (a @ j.square() - position.square()).sqrt()
    got = row_statistics(q, k, spec, where=where)
    torch.testing.assert_close(got.spread_BHT[0, 0].double(), spread, rtol=0.02, atol=0.0)
    torch.testing.assert_close(got.position_BHT[0, 0].double(), position, rtol=1e-6, atol=0.0)


@pytest.mark.parametrize("spec", [Pairwise(), Pairwise(score=General()), OTHERS[0], Linear()], ids=str)
def test_half_precision_inputs_are_probed_in_float32_also_under_autocast(spec: Attention) -> None:
    q, k, params = given(spec)
    low = q.bfloat16(), k.bfloat16()
    wide = tuple(x.float() for x in low)

    def everything(q: Tensor, k: Tensor) -> list[Tensor]:
        rows = row_statistics(q, k, spec, params=params)
        assert rows.entropy_BHT is not None
        found = [
            rows.position_BHT,
            rows.distance_BHT,
            rows.entropy_BHT,
            *top_keys(q_BHTD=q, k_BGSD=k, spec=spec, params=params),
        ]
        return [*found, received(q, k, spec, params=params), pooled(q, k, spec, params=params, blocks=3)]

    params = {name: value.float() for name, value in params.items()}
    expected, of_low = everything(*wide), everything(*low)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = everything(*wide)
    for one, two, three in zip(expected, of_low, cast, strict=True):
        assert one.dtype in (torch.float32, torch.int64)
        torch.testing.assert_close(two, one)
        torch.testing.assert_close(three, one)


def test_nothing_is_recorded_for_gradients() -> None:
    q, k, _ = draw(0, T, S)
    found = row_statistics(q, k)
    for x in (found.position_BHT, found.entropy_BHT, received(q, k), received(q, k, Linear()), pooled(q, k)):
        assert x is not None and not x.requires_grad
    assert q.grad is None and k.grad is None


def test_bad_input_gets_one_sentence() -> None:
    q, k, _ = given(Pairwise())
    with pytest.raises(ValueError, match="blocks must be at least 1; got 0"):
        pooled(q, k, blocks=0)
    with pytest.raises(ValueError, match="count must be at least 1; got 0"):
        top_keys(q, k, count=0)
    with pytest.raises(ValueError, match=r"values must be \(S, W\)"):
        row_functional(q, k, torch.ones(T, 2))
    with pytest.raises(ValueError, match=r"asked must be \(T, W\)"):
        column_functional(q, k, torch.ones(S, 2))
    with pytest.raises(ValueError, match="entropy is of weights that are not negative"):
        mixed_with_entropy(Nystrom(4), wide_call(q, k, None, None, None), torch.ones(2, 2, S, 1))


def test_membership_cuts_a_line_into_blocks() -> None:
    assert membership(5, 2).tolist() == [[1, 0], [1, 0], [1, 0], [0, 1], [0, 1]]
    assert membership(2, 4).sum().item() == 2
