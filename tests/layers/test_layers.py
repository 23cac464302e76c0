"""Layers: self, cross, step by step, pooling, taps."""

import pytest
import torch
from torch import Tensor

from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.normalizer import Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Window
from attnkit.attention.position import Alibi, Learned, RelativeBias, Rotary
from attnkit.attention.refine import Convolution, Recurrent
from attnkit.attention.score import Additive
from attnkit.layers import AdaptiveMixing, AttentionLayer, AttentionPooling, new_caches, tapped
from attnkit.layers.cache import KeyValueCache

DECODABLE = sorted(name for name, entry in CATALOGUE.items() if entry.operator.refuses_cache() is None)


def batch(seed: int = 0, B: int = 2, T: int = 6, M: int = 8) -> Tensor:
    return torch.randn(B, T, M, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layer_of(spec, seed: int = 0, **settings) -> AttentionLayer:  # type: ignore[no-untyped-def]
    torch.manual_seed(seed)
    layer = AttentionLayer(8, spec, **({"heads": 2} | settings)).double()
    for parameter in layer.operator.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return layer.eval()


@pytest.mark.parametrize("name", DECODABLE)
@pytest.mark.parametrize("step", [1, 2])
def test_incremental_equals_whole(name: str, step: int) -> None:
    layer, x = layer_of(CATALOGUE[name].operator), batch()
    keep = torch.tensor([[False, True, True, True, True, True], [True] * 6])
    whole = layer(x, keep=keep)
    cache = new_caches(layer)[""]
    parts = [
        layer(x[:, at : at + step], keep=keep[:, at : at + step], cache=cache) for at in range(0, x.shape[1], step)
    ]
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(
    ("k", "v", "keep", "sentence"),
    [
        ((2, 1, 1, 5), (2, 1, 1, 3), None, "holds keys like"),
        ((2, 1, 1, 4), (2, 1, 1, 2), None, "holds values like"),
        ((2, 1, 1, 4), (2, 1, 2, 3), None, "must agree but in width"),
        ((2, 1, 1, 4), (2, 1, 1, 3), (2, 3), "keep of a step"),
    ],
)
def test_a_step_that_does_not_fit_leaves_the_cache_as_it_was(k, v, keep, sentence: str) -> None:  # type: ignore[no-untyped-def]
    cache = KeyValueCache()
    cache.extend(torch.zeros(2, 1, 2, 4), torch.zeros(2, 1, 2, 3), None)
    held = (cache.k, cache.v, cache.keep)
    with pytest.raises(ValueError, match=sentence):
        cache.extend(torch.ones(k), torch.ones(v), None if keep is None else torch.ones(keep, dtype=torch.bool))
    assert (cache.k is held[0], cache.v is held[1], cache.keep) == (True, True, None)


def test_enough_of_the_catalogue_can_be_decoded() -> None:
    assert {"causal", "causal-linear", "mistral", "alibi"} <= set(DECODABLE)


@pytest.mark.parametrize(
    "spec", [Pairwise(), Pairwise(pattern=Window(3)), Pairwise(pattern=Causal(), refine=(Convolution(queries=3),))]
)
def test_an_operator_that_cannot_be_decoded_refuses_the_cache(spec: Pairwise) -> None:
    layer = layer_of(spec)
    with pytest.raises(ValueError, match="cannot be decoded step by step"):
        layer(batch(), cache=new_caches(layer)[""])


@pytest.mark.parametrize(
    "settings",
    [{"key_heads": 1}, {"heads": 4, "key_heads": 2}, {"value_width": 3}, {"head_width": 6}, {"output_gate": True}],
)
def test_each_head_layout_equals_its_formula(settings: dict) -> None:  # type: ignore[type-arg]
    layer, x = layer_of(Pairwise(), **settings), batch()
    H, G, D = layer.layout.heads, layer.layout.G, layer.layout.width
    q = layer.query(x).unflatten(-1, (H, -1))
    k, v = (linear(x).unflatten(-1, (G, -1)) for linear in (layer.key, layer.value))
    heads = []
    for h in range(H):
        g = h // (H // G)
        weights = torch.softmax(torch.einsum("btd,bsd->bts", q[:, :, h], k[:, :, g]) / D**0.5, -1)
        heads.append(weights @ v[:, :, g])
    merged = torch.cat(heads, -1)
    if layer.gate is not None:
        merged = merged * torch.sigmoid(layer.gate.open(x))
    torch.testing.assert_close(layer(x), layer.out(merged))


def test_cross_attention_reads_the_context_alone_and_respects_its_padding() -> None:
    layer, x, context = layer_of(Pairwise()), batch(0, T=3), batch(1, T=5)
    keep = torch.tensor([[True] * 5, [True, True, False, False, False]])
    out = layer(x, context, keep=keep)
    changed = context.clone()
    changed[1, 2:] = 1e6
    assert torch.equal(layer(x, changed, keep=keep), out)
    torch.testing.assert_close(layer(x[1:], context[1:, :2]), out[1:])
    assert not torch.allclose(layer(x, context.flip(2), keep=keep), out)


def test_cross_attention_from_another_width() -> None:
    layer = layer_of(Pairwise(), context_width=5)
    assert layer(batch(T=3), batch(T=4, M=5)).shape == (2, 3, 8)


def test_padding_never_changes_a_layer_or_a_pooling() -> None:
    keep = torch.tensor([[True] * 4 + [False] * 2])
    for spec in (Pairwise(score=Additive(4)), Pairwise(position=Alibi()), Pairwise(position=Learned(8)), Pairwise()):
        layer = layer_of(spec)
        pooling = AttentionPooling(8, spec, queries=2, heads=2).double().eval()
        x = batch(B=1)
        x[:, 4:] = 1e5
        torch.testing.assert_close(layer(x, keep=keep)[:, :4], layer(x[:, :4]))
        torch.testing.assert_close(pooling(x, keep=keep), pooling(x[:, :4]))


def test_pooling_queries_stand_at_the_last_real_token_wherever_the_padding_is() -> None:
    pooling, x = AttentionPooling(8, Pairwise(position=Alibi(), pattern=Causal()), heads=2).double(), batch(B=1)
    keep = torch.tensor([[False, False, True, True, True, False]])
    torch.testing.assert_close(pooling(x, keep=keep), pooling(x[:, 2:5]))


def test_a_row_of_padding_pools_to_zero() -> None:
    pooling = AttentionPooling(8, Pairwise(score=Additive(4)), heads=2).double()
    out = pooling(batch(), keep=torch.tensor([[True] * 6, [False] * 6]))
    assert torch.equal(out[1], torch.zeros_like(out[1]))
    assert out[0].abs().sum() > 0


def test_pooling_equals_its_formula() -> None:
    pooling, x = AttentionPooling(8, Pairwise(), queries=3).double(), batch()
    weights = torch.softmax(torch.einsum("rm,bsm->brs", pooling.queries, x) / 8**0.5, -1)
    torch.testing.assert_close(pooling(x), weights @ x)


def test_taps_record_every_layer_and_change_no_bit() -> None:
    model = torch.nn.ModuleList([layer_of(Pairwise(pattern=Causal(), position=Rotary())), AttentionPooling(8).double()])
    layer, pooling = model
    x, keep = batch(), torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    plain = pooling(layer(x, keep=keep), keep=keep)
    with tapped(model) as seen:
        recorded = pooling(layer(x, keep=keep), keep=keep)
    assert torch.equal(plain, recorded)
    assert [one.name for one in seen] == ["0", "1"]
    for one in seen:
        torch.testing.assert_close(one.matrix() @ one.v_BGSE, one.out_BHTE)
    pooling(layer(x))
    assert len(seen) == 2


def test_tapping_nothing_or_twice_is_an_error() -> None:
    with pytest.raises(ValueError, match="holds no AttentionLayer"), tapped(torch.nn.Linear(2, 2)):
        pass
    layer = layer_of(Pairwise())
    with tapped(layer), pytest.raises(ValueError, match="tapped already"), tapped(layer):
        pass


def test_rows_of_the_layer_below_reach_a_recurrent_refinement() -> None:
    layer, x = layer_of(Pairwise(refine=(Recurrent(),))), batch()
    first, rows = layer.with_rows(x)
    second, mixed = layer.with_rows(x, state=torch.eye(6, dtype=torch.float64).expand(2, 2, 6, 6))
    assert not torch.allclose(first, second)
    gate = layer.operator.flat()["refine.0.gate"].view(-1, 1, 1)
    torch.testing.assert_close(mixed, rows + gate * (torch.eye(6, dtype=torch.float64) - rows))


def test_dropout_is_off_in_evaluation() -> None:
    layer, x = layer_of(Pairwise(normalizer=Sparsemax()), dropout=0.5), batch()
    assert torch.equal(layer(x), layer(x))
    layer.train()
    assert not torch.equal(layer(x), layer(x))


def test_adaptive_mixing_equals_its_formula_and_ignores_padding() -> None:
    module, x = AdaptiveMixing(8).double(), batch()
    torch.nn.init.normal_(module.logit)
    gate, mean = torch.sigmoid(module.logit), x.mean(1, keepdim=True)
    torch.testing.assert_close(module(x), gate * mean + (1 - gate) * torch.tanh(x - mean))
    keep = torch.tensor([[True] * 4 + [False] * 2] * 2)
    padded = module(x, keep=keep)
    torch.testing.assert_close(padded[:, :4], module(x[:, :4]))
    assert torch.equal(padded[:, 4:], torch.zeros_like(padded[:, 4:]))


def test_parameters_are_stored_under_the_names_parts_read() -> None:
    layer = AttentionLayer(8, Pairwise(score=Additive(4), position=RelativeBias()), heads=2)
    names = set(layer.state_dict())
    assert {"operator.score.w_q", "operator.score.v", "query.weight"} <= names
    assert set(layer.operator.flat()) == set(layer.spec.parameters(layer_dims(layer)))


def layer_dims(layer: AttentionLayer):  # type: ignore[no-untyped-def]
    from attnkit.attention.part import Dims

    return Dims(layer.layout.heads, layer.layout.width, layer.layout.E)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: AttentionLayer(8, heads=3), "does not split into 3 heads"),
        (lambda: AttentionLayer(8, heads=4, key_heads=3), "HeadLayout.key_heads must be a divisor of heads=4"),
        (lambda: AttentionLayer(8, heads=0), "does not split into 0 heads"),
        (lambda: AttentionLayer(8, head_width=0), "HeadLayout.width must be at least 1"),
        (lambda: AttentionPooling(8, heads=0), "does not split into 0 heads"),
        (lambda: AttentionLayer(8, dropout=1.5), r"dropout must be in \[0, 1\)"),
        (lambda: AttentionPooling(8, queries=0), "queries must be at least 1"),
        (lambda: AttentionPooling(8, heads=3), "does not split into 3 heads"),
    ],
)
def test_bad_settings_get_one_sentence(make, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=sentence):
        make()
