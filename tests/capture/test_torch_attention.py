"""torch's own attention: every mask, nn.MultiheadAttention and its like, and attention written out by hand."""

import gc
import math
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal
from attnkit.capture.captured import Wanted
from attnkit.capture.foreign import Call, operator_of
from attnkit.capture.measure import measure
from attnkit.capture.record import capture
from attnkit.kernels.attend import attend
from attnkit.layers.model_operator import GivenBias, Wishes
from attnkit.layers.taps import Seen
from tests.capture.listening import CLOSE, ByHand, assert_proved, map_of, recorded

X = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))
OTHER = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(1))
KEEP = torch.arange(7) < torch.tensor([7, 4])[:, None]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


class Product(nn.Module):
    """Attention of torch's on what it is given."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor, **asked: Any) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, **asked)


def dense(q: Tensor, k: Tensor, allowed: Tensor | None = None, bias: Tensor | float = 0.0, scale: Any = None) -> Tensor:
    """The map in float64."""
    q, k = q.double(), k.double().repeat_interleave(q.shape[1] // k.shape[1], 1)
    scores = q @ k.mT * (1 / math.sqrt(q.shape[-1]) if scale is None else scale) + bias
    return (scores if allowed is None else scores.masked_fill(~allowed, float("-inf"))).softmax(-1)


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape)


MASKS: dict[str, Callable[[int, int], dict[str, Any]]] = {
    "everything": lambda T, S: {},
    "top-left causal": lambda T, S: {"is_causal": True},
    "scaled": lambda T, S: {"scale": 0.7},
    "a boolean mask": lambda T, S: {"attn_mask": torch.ones(T, S, dtype=torch.bool).tril(S - T)},
    "a window": lambda T, S: {
        "attn_mask": (torch.ones(T, S, dtype=torch.bool).tril(S - T) & ~torch.ones(T, S, dtype=torch.bool).tril(-2))
    },
    "no known pattern": lambda T, S: {"attn_mask": torch.rand(2, 1, T, S).gt(0.4) | torch.eye(T, S).bool()},
    "heads that differ": lambda T, S: {"attn_mask": torch.rand(1, 4, T, S).gt(0.4) | torch.eye(T, S).bool()},
    "added numbers": lambda T, S: {"attn_mask": torch.randn(2, 4, T, S)},
    "added numbers under a mask": lambda T, S: {
        "attn_mask": torch.randn(T, S).masked_fill(torch.ones(T, S).triu(S - T + 1).bool(), float("-inf"))
    },
    "padding added": lambda T, S: {
        "attn_mask": torch.zeros(2, 1, 1, S).masked_fill(torch.arange(S) >= S - 2, torch.finfo(torch.float32).min)
    },
}


# With more queries than keys some of these rows see nothing, which is another test's.
EMPTY_WHERE_LONGER = {
    "a boolean mask",
    "a window",
    "added numbers under a mask",
    "no known pattern",
    "heads that differ",
}


@pytest.mark.parametrize("sizes", [(6, 6), (5, 8), (8, 5)])
@pytest.mark.parametrize("name", MASKS)
def test_every_way_to_mask_is_the_map_that_torch_made(name: str, sizes: tuple[int, int]) -> None:
    T, S = sizes
    if T > S and name in EMPTY_WHERE_LONGER:
        T, S = S, S + 1
    asked = MASKS[name](T, S)
    q, k, v = drawn(2, 4, T, 8), drawn(2, 2, S, 8), drawn(2, 2, S, 8)
    seen = recorded(Product(), q, k, v, enable_gqa=True, **asked)
    mask = asked.get("attn_mask")
    allowed: Tensor | None = torch.ones(T, S, dtype=torch.bool).tril() if asked.get("is_causal") else None
    bias: Tensor | float = 0.0
    if mask is not None:
        allowed, bias = (mask, 0.0) if mask.dtype == torch.bool else (None, mask.double())
    expected = dense(q, k, allowed, bias, asked.get("scale"))
    (layer,) = seen.layers
    got = map_of(layer)
    if layer.query_keep is not None:
        expected = expected * layer.query_keep[:, None, :, None]
    torch.testing.assert_close(got.double(), expected, rtol=0, atol=CLOSE)
    assert_proved(seen)
    assert layer.heads == 4 and layer.kind == ("self" if T == S or "is_causal" in asked else "cross")
    if name == "padding added":
        assert layer.key_keep is not None and layer.key_keep.sum(-1).tolist() == [S - 2, S - 2]
        assert (layer.query_keep is not None) == (T == S)


def test_rows_that_see_nothing_are_zero_whatever_says_it() -> None:
    mask = torch.rand(2, 1, 6, 6).gt(0.5) | torch.eye(6).bool()
    mask[:, :, 2] = False
    q, k, v = (drawn(2, 2, 6, 8) for _ in range(3))
    for given in (mask, torch.zeros(mask.shape).masked_fill(~mask, float("-inf"))):
        (layer,) = recorded(Product(), q, k, v, attn_mask=given).layers
        assert map_of(layer)[:, :, 2].abs().sum() == 0
        assert layer.check.error is not None and layer.check.error < CLOSE
        assert layer.statistics["total"][:, :, 2].abs().max() == 0


@pytest.mark.parametrize("shape", [(5, 8), (3, 5, 8), (2, 3, 4, 5, 8)])
def test_fewer_and_more_axes_are_heads_and_items(shape: tuple[int, ...]) -> None:
    x = drawn(*shape)
    mask = torch.ones(5, 5, dtype=torch.bool).tril().expand(*shape[:-2], 5, 5)
    (layer,) = recorded(Product(), x, x, x, attn_mask=mask).layers
    expected = (x.double() @ x.double().mT / math.sqrt(8)).masked_fill(~mask, float("-inf")).softmax(-1)
    torch.testing.assert_close(map_of(layer).flatten(0, 1).double(), expected.reshape(-1, 5, 5), rtol=0, atol=CLOSE)


MULTI: dict[str, dict[str, Any]] = {
    "batch first": {"batch_first": True},
    "text first": {},
    "no biases": {"batch_first": True, "bias": False},
    "widths of their own": {"batch_first": True, "kdim": 16, "vdim": 16},
    "a key and value learned": {"batch_first": True, "add_bias_kv": True},
    "a key of zeros": {"batch_first": True, "add_zero_attn": True},
}


@pytest.mark.parametrize("need_weights", [True, False])
@pytest.mark.parametrize("name", MULTI)
@pytest.mark.parametrize("masked", ["", "padding", "causal", "both"])
def test_multi_head_attention_is_heard_with_its_own_weights(name: str, need_weights: bool, masked: str) -> None:
    model = nn.MultiheadAttention(16, 4, **MULTI[name]).eval()
    for context in (X, OTHER):
        S = context.shape[1]
        padding = torch.arange(S) >= torch.tensor([S, S - 2])[:, None] if masked in ("padding", "both") else None
        causal = torch.ones(7, S, dtype=torch.bool).triu(S - 6) if masked in ("causal", "both") else None
        q, k = (X, context) if MULTI[name].get("batch_first") else (X.transpose(0, 1), context.transpose(0, 1))
        k = q if context is X else k
        asked = {"key_padding_mask": padding, "attn_mask": causal}
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            seen = recorded(model, q, k, k, need_weights=need_weights, **asked)
            expected = model(q, k, k, average_attn_weights=False, **asked)[1]
        finally:
            torch.backends.mha.set_fastpath_enabled(True)
        (layer,) = seen.layers
        assert layer.name == "MultiheadAttention" and layer.kind == ("self" if context is X else "cross")
        if layer.query_keep is not None:
            expected = expected * layer.query_keep[:, None, :, None]
        torch.testing.assert_close(map_of(layer), expected, rtol=0, atol=CLOSE)
        assert_proved(seen)
        assert (layer.query_keep is not None) == (padding is not None and context is X)


@pytest.mark.parametrize(
    "shapes",
    [
        ((2, 3, 4, 6, 8), (1, 3, 4, 9, 8), (2, 1, 4, 9, 5)),
        ((4, 4, 6, 8), (4, 9, 8), (4, 9, 5)),
        ((1, 1, 6, 8), (2, 4, 9, 8), (2, 4, 9, 5)),
        ((3, 6, 8), (9, 8), (9, 5)),
    ],
)
def test_axes_that_broadcast_are_those_of_the_answer(shapes: tuple[tuple[int, ...], ...]) -> None:
    seen = recorded(Product(), *(drawn(*shape) for shape in shapes), level="full")
    assert_proved(seen)
    assert map_of(seen.layers[0]).sum(-1).allclose(torch.ones(()))


def test_a_bias_on_hidden_pairs_in_half_precision_leaves_the_entropy_a_number() -> None:
    lowest = torch.finfo(torch.float16).min
    mask = torch.full((6, 6), lowest, dtype=torch.float16).masked_fill(
        torch.rand(6, 6).gt(0.5) | torch.eye(6).bool(), 0
    )
    call = Call(
        *(drawn(1, 2, 6, 8).half() for _ in range(4)), mask[None, None], wishes=Wishes(bias=mask[None, None] / 99)
    )
    found = operator_of(call, own_text=True)
    made = Seen("", found.spec, call.q_BHTD, call.k_BGSD, call.v_BGSE, found.where, found.params, None, call.out_BHTE)
    assert measure(made, "self", Wanted(), "drawn by chance").statistics["entropy"].isfinite().all()


def test_multi_head_attention_without_a_batch() -> None:
    model = nn.MultiheadAttention(16, 4).eval()
    for need_weights in (True, False):
        (layer,) = recorded(model, X[0], X[0], X[0], need_weights=need_weights).layers
        assert (layer.batch, layer.heads, layer.T) == (1, 4, 7)
        expected = model(X[0], X[0], X[0], average_attn_weights=False)[1]
        torch.testing.assert_close(map_of(layer)[0], expected, rtol=0, atol=CLOSE)


def test_the_fast_path_of_an_encoder_is_off_within_the_block_alone() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    model = nn.TransformerEncoder(layer, 2).eval()
    padding = ~KEEP
    with torch.no_grad():
        fast = model(X, src_key_padding_mask=padding)
        with capture(model, "full") as seen:
            assert not torch.backends.mha.get_fastpath_enabled()
            got = model(X, src_key_padding_mask=padding)
        assert torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        slow = model(X, src_key_padding_mask=padding)
        torch.backends.mha.set_fastpath_enabled(True)
    assert torch.equal(got, slow)
    torch.testing.assert_close(got[KEEP], fast[KEEP], rtol=1e-4, atol=CLOSE)
    assert [one.name for one in seen.layers] == ["layers.0.self_attn", "layers.1.self_attn"]
    assert any("fast path" in note for note in seen.notes)
    assert_proved(seen)
    assert torch.equal(seen.layers[0].query_keep, KEEP)  # type: ignore[arg-type]


def test_an_encoder_and_a_decoder_of_torch_keep_their_texts_apart() -> None:
    model = nn.Transformer(16, 4, 1, 1, 32, batch_first=True).eval()
    causal = nn.Transformer.generate_square_subsequent_mask(9)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        seen = recorded(model, X, OTHER, tgt_mask=causal, tgt_is_causal=True)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    assert [(one.name, one.kind, one.query_stream, one.key_stream) for one in seen.layers] == [
        ("encoder.layers.0.self_attn", "self", "encoder", "encoder"),
        ("decoder.layers.0.self_attn", "self", "decoder", "decoder"),
        ("decoder.layers.0.multihead_attn", "cross", "decoder", "encoder"),
    ]
    assert seen.layers[1].seen is not None and seen.layers[1].seen.spec.pattern == Causal()  # type: ignore[attr-defined]


@pytest.mark.parametrize("folded", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_attention_written_out_by_hand_is_heard(folded: bool, masked: bool) -> None:
    model = nn.Sequential(ByHand(folded)) if not masked else ByHand(folded)
    causal = torch.ones(7, 7, dtype=torch.bool).tril()
    seen = recorded(model, X, *([causal] if masked else []))
    own: Any = model if masked else model[0]
    (layer,) = seen.layers
    assert (layer.name, layer.kind, layer.heads) == ("ByHand" if masked else "0", "self", 4)
    torch.testing.assert_close(map_of(layer), own.map, rtol=0, atol=CLOSE)
    assert_proved(seen)
    if masked:
        assert layer.seen is not None and layer.seen.spec.pattern == Causal()  # type: ignore[attr-defined]


def test_autocast_is_measured_on_what_the_kernel_saw() -> None:
    q, k, v = (drawn(2, 2, 7, 8) for _ in range(3))
    with torch.autocast("cpu", torch.bfloat16):
        expected = Product()(q, k, v)
        with capture(model := Product(), "full") as seen:
            got = model(q, k, v)
    assert got.dtype == torch.bfloat16 and torch.equal(expected, got)
    assert seen.layers[0].seen is not None and seen.layers[0].seen.q_BHTD.dtype == torch.bfloat16
    assert seen.layers[0].check.error is not None and seen.layers[0].check.error < 0.05


def test_statistics_alone_hold_no_tensor_of_a_call() -> None:
    held = []

    class Watched(Product):
        def forward(self, q: Tensor, k: Tensor, v: Tensor, **asked: Any) -> Tensor:
            q, k, v = q * 1.0, k * 1.0, v * 1.0
            out = super().forward(q, k, v, **asked)
            held.extend(weakref.ref(x) for x in (q, k, v, out))
            held.extend(weakref.ref(x.untyped_storage()) for x in (q, k, v))
            return out.sum()

    model = Watched()
    with torch.no_grad(), capture(model, "stats") as seen:
        model(*(drawn(1, 2, 64, 8) for _ in range(3)), is_causal=True)
        gc.collect()
        assert [one() for one in held] == [None] * len(held)
    biggest = max(x.numel() for x in seen.layers[0].statistics.values())
    assert biggest == 2 * 64 and seen.layers[0].pooled is None and seen.layers[0].edges is None


def test_a_bias_of_each_item_goes_to_that_item_in_the_rows_kernel() -> None:
    q, k, v = drawn(2, 3, 6, 8).requires_grad_(), drawn(2, 3, 6, 8), drawn(2, 3, 6, 8)
    spec, bias = Pairwise(position=GivenBias()), drawn(2, 3, 6, 6).requires_grad_()
    told = []
    for kernel in ("rows", "reference"):
        params = {"position.bias": bias, "position.origin": torch.tensor([0, 0])}
        out = attend(q, k, v, spec, params=params, kernel=kernel)
        told.append((out, *torch.autograd.grad(out.square().sum(), [q, bias])))
    for got, expected in zip(*told, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
