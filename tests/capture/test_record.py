"""capture: a model's own answers bit for bit, the maps it made, and a sentence where there is nothing to see."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import attnkit
from attnkit.attention.normalizer import Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Window
from attnkit.attention.where import Where
from attnkit.capture.record import capture, capture_arrays
from attnkit.capture.size import size_bytes
from attnkit.kernels.packed import Pieces
from attnkit.layers import AttentionLayer, AttentionPooling, new_caches, tapped
from tests.capture.listening import CLOSE, ByHand, assert_proved, map_of, recorded

X = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))
OTHER = torch.randn(2, 9, 16, generator=torch.Generator().manual_seed(1))
KEEP = torch.arange(7) < torch.tensor([7, 4])[:, None]


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


class Stack(nn.Module):
    """Our layers, one after another, and a pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([AttentionLayer(16, Pairwise(pattern=Window(3)), heads=4) for _ in range(2)])
        self.cross = AttentionLayer(16, Pairwise(normalizer=Sparsemax()), heads=2)
        self.pooling = AttentionPooling(16, queries=2)

    def forward(self, x: Tensor, context: Tensor, keep: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x, keep=keep)
        x = x + self.cross(x, context_BSM=context)
        return self.pooling(x, keep=keep)


def test_our_layers_are_heard_under_their_names() -> None:
    model = Stack()
    seen = recorded(model, X, OTHER, KEEP)
    told = [(one.name, one.kind, one.T, one.S, one.query_stream, one.key_stream) for one in seen.layers]
    assert told == [
        ("layers.0", "self", 7, 7, "encoder", "encoder"),
        ("layers.1", "self", 7, 7, "encoder", "encoder"),
        ("cross", "cross", 7, 9, "decoder", "encoder"),
        ("pooling", "pooling", 2, 7, None, "encoder"),
    ]
    assert_proved(seen)
    with tapped(model) as expected, torch.no_grad():
        model(X, OTHER, KEEP)
    for layer, one in zip(seen.layers, expected, strict=True):
        torch.testing.assert_close(map_of(layer), one.matrix(), rtol=0, atol=0)
    assert seen.layer("layers.0").query_keep is not None and torch.equal(seen.layer("layers.0").query_keep, KEEP)
    with pytest.raises(KeyError, match=r"layers\.0, layers\.1, cross, pooling"):
        seen.layer("nothing")


def test_a_layer_whose_map_the_next_one_reads_is_heard_once() -> None:
    layer = AttentionLayer(16, Pairwise(), heads=2)

    class Reads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            return self.layer.with_rows(x)[0]

    seen = recorded(Reads(), X)
    assert [one.name for one in seen.layers] == ["layer"]


@pytest.mark.parametrize("name", ["linear", "nystrom", "convolution", "soft-cap", "performer", "sparsemax"])
def test_any_operator_of_ours_is_heard_in_inference_mode(name: str) -> None:
    spec = attnkit.CATALOGUE[name].operator if name in attnkit.CATALOGUE else Pairwise(normalizer=Sparsemax())
    layer = AttentionLayer(16, spec, heads=2)
    with torch.inference_mode():
        expected = layer(X)
        with capture(layer, "full") as seen:
            got = layer(X)
    assert torch.equal(expected, got)
    assert [one.name for one in seen.layers] == ["AttentionLayer"]
    assert_proved(seen)


def test_packed_rows_are_refused_by_the_layers_own_sentence() -> None:
    layer = AttentionLayer(16)
    with capture_fails("a packed row cannot be listened to"), capture(layer):
        layer(X[:1], pieces=Pieces((3, 4)))


def test_steps_with_a_cache_of_ours_come_to_the_map_of_the_whole() -> None:
    class Decoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([AttentionLayer(16, attnkit.CATALOGUE["alibi"].operator, heads=2)] * 1)

        def forward(self, x: Tensor, caches: Any = None, keep: Tensor | None = None) -> Tensor:
            for name, layer in self.named_modules():
                if isinstance(layer, AttentionLayer):
                    x = x + layer(x, keep=keep, cache=None if caches is None else caches[name])
            return x

    model = Decoder()
    whole = recorded(model, X, keep=KEEP.flip(1))
    for level in ("stats", "full"):
        caches = new_caches(model)
        with torch.no_grad(), capture(model, level) as seen:  # type: ignore[arg-type]
            for part in (slice(0, 4), slice(4, 5), slice(5, 7)):
                model(X[:, part], caches, KEEP.flip(1)[:, part])
        (one,), (other,) = seen.layers, whole.layers
        assert (one.T, one.S, one.kind) == (7, 7, "self")
        for name, expected in other.statistics.items():
            torch.testing.assert_close(one.statistics[name], expected, rtol=CLOSE, atol=CLOSE, msg=name)
        if level == "full":
            torch.testing.assert_close(map_of(one), map_of(other), rtol=0, atol=CLOSE)


def test_nothing_seen_is_an_error_that_says_why() -> None:
    class Gates(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (torch.softmax(x, -1) * x).sum(-1)

    line = nn.Linear(16, 16)
    for model, sentence in (
        (line, "Linear ran without an attention layer of ours"),
        (nn.Sequential(Gates()), "Sequential: 0 ran a softmax of its own"),
    ):
        with capture_fails(sentence), capture(model):
            model(X)
    with capture_fails("Linear was not called in the block"), capture(line):
        pass
    with capture_fails("focus names no layer of AttentionLayer; those with attention are AttentionLayer"):
        layer = AttentionLayer(16)
        with capture(layer, focus={"other.*": None}):
            layer(X)


def capture_fails(sentence: str) -> Any:
    return pytest.raises(ValueError, match=sentence)


def test_what_cannot_be_listened_to_is_refused_before_it_runs() -> None:
    layer = AttentionLayer(16)
    with capture_fails("is compiled, and its program shows no attention"), capture(torch.compile(layer)):  # type: ignore[arg-type]
        pass
    with capture_fails("listens to an nn.Module; got function"), capture(lambda x: x):  # type: ignore[arg-type]
        pass
    with capture(layer) as seen:
        with capture_fails("a capture is running already"), capture(layer):
            pass
        layer(X)
    assert len(seen.layers) == 1
    with ThreadPoolExecutor(1) as other, capture(layer):
        with capture_fails("a capture is running already"):
            other.submit(recorded, AttentionLayer(16), X).result()
        layer(X)
    with tapped(layer), capture_fails("tapped already"), capture(layer):
        pass
    recorded(layer, X)


def test_a_second_input_in_one_block_is_refused() -> None:
    layer = AttentionLayer(16)
    with capture_fails("AttentionLayer ran a second time in one capture"), capture(layer):
        layer(X)
        layer(X)
    assert layer._tap is None
    recorded(layer, X)


def test_an_error_in_the_block_is_the_one_that_comes_out_and_nothing_stays() -> None:
    class Fails(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = AttentionLayer(16)

        def forward(self, x: Tensor, wrong: bool = False) -> Tensor:
            x = self.layer(x)
            if wrong:
                raise RuntimeError("own error")
            return x

    model = Fails()
    with pytest.raises(RuntimeError, match="own error"), capture(model):
        model(X, wrong=True)
    assert torch.backends.mha.get_fastpath_enabled()
    assert not torch.overrides._get_current_function_mode_stack()
    recorded(model, X)


def test_dropout_is_why_there_is_no_check() -> None:
    for model in (AttentionLayer(16, dropout=0.5), nn.MultiheadAttention(16, 4, dropout=0.5), ByHand(dropout=0.5)):
        inputs = (X, X, X) if isinstance(model, nn.MultiheadAttention) else (X,)
        torch.manual_seed(3)
        expected = model(*inputs)
        with capture(model) as seen:
            torch.manual_seed(3)
            got = model(*inputs)
        first, second = (x[0] if isinstance(x, tuple) else x for x in (expected, got))
        assert torch.equal(first, second)
        assert seen.layers[0].check.error is None and "dropout" in str(seen.layers[0].check.reason)
        second.sum().backward()
        assert next(model.parameters()).grad is not None


@pytest.mark.parametrize("hand", [False, True])
def test_gradients_and_checkpointing_within_the_block_change_nothing(hand: bool) -> None:
    from torch.utils.checkpoint import checkpoint

    class Saves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = ByHand() if hand else AttentionLayer(16)

        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(self.layer, x, use_reentrant=False)  # type: ignore[no-any-return]

    model, x = Saves(), X.clone().requires_grad_()
    with capture(model) as seen:
        model(x).square().sum().backward()
    assert [one.name for one in seen.layers] == ["layer"]
    inside = x.grad.clone()  # type: ignore[union-attr]
    x.grad = None
    model(x).square().sum().backward()
    assert torch.equal(inside, x.grad)  # type: ignore[arg-type]


def test_a_module_that_attends_again_has_a_name_for_each_time() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = AttentionLayer(16)

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(self.layer(x))

    assert [one.name for one in recorded(Twice(), X).layers] == ["layer", "layer:2"]


def test_focus_keeps_the_named_layers_and_heads() -> None:
    model = Stack()
    with capture(model, "maps", focus={"layers.1": [2, 0], "pool*": None}) as seen:
        model(X, OTHER, KEEP)
    assert [one.name for one in seen.layers] == ["layers.1", "pooling"]
    whole = recorded(model, X, OTHER, KEEP).layer("layers.1")
    one = seen.layers[0]
    assert one.heads == 2
    torch.testing.assert_close(one.statistics["entropy"], whole.statistics["entropy"][:, [2, 0]])
    with capture(model, focus=["cross"]) as seen:
        model(X, OTHER, KEEP)
    assert [one.name for one in seen.layers] == ["cross"]
    with capture_fails(r"heads \[9\] of cross, which has heads 0 to 1"), capture(model, focus={"cross": 9}):
        model(X, OTHER, KEEP)


def test_options_are_checked_before_the_block() -> None:
    layer = AttentionLayer(16)
    for asked, sentence in (
        ({"level": "all"}, 'level must be "stats", "maps" or "full"'),
        ({"statistics": ["entropie"]}, "did you mean 'entropy'"),
        ({"rows": 0}, "rows must be a whole number of at least 1"),
        ({"budget": "big"}, "a size is a number of bytes"),
        ({"tokens": ["a"], "tokenizer": object()}, "tokens or a tokenizer, not both"),
    ):
        with capture_fails(sentence), capture(layer, **asked):  # type: ignore[arg-type]
            layer(X)
    with capture(layer, statistics=["entropy"], rows=3, budget="1.5MB") as seen:
        layer(X)
    assert seen.budget_bytes == 1_500_000 and set(seen.layers[0].statistics) == {"entropy"}
    assert seen.layers[0].rows is not None and len(seen.layers[0].rows) == 3


@pytest.mark.parametrize(
    ("size", "expected"), [("1.5MB", 1_500_000), ("64 KiB", 65536), ("12", 12), (7, 7), ("2gb", 2_000_000_000)]
)
def test_sizes_are_read_as_people_write_them(size: Any, expected: int) -> None:
    assert size_bytes(size) == expected
    for wrong in ("", "MB", "1.5 apples", "-3", "0", "0.2B"):
        with capture_fails("size"):
            size_bytes(wrong)


def test_tokens_are_the_streams() -> None:
    layer = AttentionLayer(16)
    words = [list("abcdefg"), list("hijk")]
    with capture(layer, tokens=words) as seen:
        layer(X, keep=KEEP)
    assert seen.streams == {"text": [list("abcdefg"), [*"hijk", "", "", ""]]}
    for given, sentence in (
        (list("abcdefg"), "1 texts .* and the batch has 2"),
        ([list("abcdefgh")] * 2, "8 words .* and the layers saw 7"),
        ({"encoder": words}, "the texts of this capture are text"),
    ):
        with capture_fails(sentence), capture(layer, tokens=given):
            layer(X)


def test_a_tokenizer_reads_the_ids_that_the_model_was_given() -> None:
    class Words:
        def id_to_token(self, one: int) -> str | None:
            return None if one == 9 else f"w{one}"

    class Embeds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.layer = nn.Embedding(10, 16), AttentionLayer(16)

        def forward(self, ids: Tensor) -> Tensor:
            return self.layer(self.embedding(ids))

    model = Embeds()
    with capture(model, tokenizer=Words()) as seen:
        model(torch.tensor([[1, 2, 9]]))
    assert seen.streams == {"text": [["w1", "w2", "<9>"]]}
    with capture(model, tokenizer=Words()) as seen:
        model.layer(X)
    assert not seen.streams and any("give tokens" in note for note in seen.notes)
    with capture_fails("a tokenizer must have"), capture(model, tokenizer=object()):
        model(torch.tensor([[1]]))


def test_given_arrays_are_a_capture_too() -> None:
    q, k, v = torch.randn(1, 4, 6, 8), torch.randn(1, 2, 6, 8), torch.randn(1, 2, 6, 8)
    where = Where.of(6, 6, keep=torch.arange(6)[None] < 5)
    spec = Pairwise(pattern=Causal())
    seen = capture_arrays(q, k, v, spec, where, level="full", tokens=list("abcdef"))
    torch.testing.assert_close(map_of(seen.layers[0]), spec.matrix(q, k, where))
    assert seen.layers[0].kind == "self" and seen.streams["text"] == [list("abcdef")]
    assert_proved(seen)
    bare = capture_arrays(q.numpy(), torch.randn(1, 2, 9, 8).numpy())
    assert bare.layers[0].kind == "cross" and "no values" in bare.layers[0].undefined["value_norm"]
    assert "value_norm" not in bare.layers[0].statistics and bare.layers[0].check.error is None


@pytest.mark.parametrize("focus", ["layer", [("layer", 0)], 3, {0: [1]}])
def test_a_focus_that_is_none_says_what_one_is(focus: Any) -> None:
    with pytest.raises(ValueError, match="focus is a list of layers' names"), capture(nn.Linear(2, 2), focus=focus):
        pass


def test_no_edges_may_be_asked_for_and_a_kind_must_be_one() -> None:
    q = torch.randn(1, 2, 9, 4)
    for level in ("stats", "maps"):
        (layer,) = capture_arrays(q, q, level=level, edges=0).layers
        assert layer.edges is None
    with pytest.raises(ValueError, match="kind must be one of self, cross, pooling; got 'bogus'"):
        capture_arrays(q, q, kind="bogus")  # type: ignore[arg-type]
