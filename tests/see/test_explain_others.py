"""Other people's models, and the model of a run."""

import json

import pytest
import torch
from torch import Tensor, nn

import attnkit
from attnkit.attention.heads import share_heads
from attnkit.data.tokens import fit
from attnkit.errors import UsageError
from attnkit.kernels.rows import place as slabs
from attnkit.see.explain import METHODS, Subject, explain_items, explain_texts, rank_heads
from attnkit.see.explain.attention import explain as attention
from attnkit.see.explain.foreign import as_seen
from attnkit.see.explain.gradient_attention import explain as gradient_attention
from attnkit.see.explain.integrated_gradients import explain as integrated_gradients
from attnkit.see.explain.listen import listening
from attnkit.see.explain.rollout import explain as rollout
from attnkit.see.explain.value_zeroing import explain as value_zeroing
from attnkit.task.single_label import SingleLabel
from attnkit.train.preprocessing import Preprocessing
from tests.see.planted import classifier
from tests.train.small import SMALL, small_data


def bert(attention_kind: str = "sdpa", labels: int = 3) -> nn.Module:
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=32,
        initializer_range=0.3,
        num_labels=labels,
        attn_implementation=attention_kind,
    )
    return BertForSequenceClassification(config).eval()


def explained(model: nn.Module, padding: int = 0):
    """The model as a subject (of ids with [CLS] 2 and [SEP] 3), and a text; run with some padding behind it."""
    subject = Subject.of_hugging_face(model, replacement=1)
    subject.specials = frozenset((2, 3))
    if padding:
        pad = nn.functional.pad

        def padded(ids_BT: Tensor, keep_BT: Tensor) -> Tensor:
            ids_BT, keep_BT = pad(ids_BT, (0, padding)), pad(keep_BT, (0, padding))
            return model(input_ids=ids_BT, attention_mask=keep_BT.long()).logits

        subject._logits = padded
    return subject, subject.item([2, 17, 30, 9, 44, 21, 3])


def eager_maps(item, index: int, model: nn.Module | None = None):
    """Dense maps of the same model (BERT where not said) and their gradients, by transformers' own slow path."""
    model = bert("eager") if model is None else model
    out = model(input_ids=torch.tensor([item.ids]), output_attentions=True)
    for one in out.attentions:
        one.retain_grad()
    other = [place for place in range(3) if place != index]
    (out.logits[0, index] - out.logits[0, other].logsumexp(-1)).backward()
    return out.attentions


def llama(attention_kind: str = "sdpa") -> nn.Module:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        intermediate_size=32,
        initializer_range=0.3,
        num_labels=3,
        pad_token_id=0,
        attn_implementation=attention_kind,
    )
    return LlamaForSequenceClassification(config).eval()


def test_a_decoder_with_grouped_heads_against_its_slow_path() -> None:
    subject = Subject.of_hugging_face(llama(), replacement=1, reads="last")
    item = subject.item([2, 17, 30, 9, 44, 21, 3])
    maps = eager_maps(item, subject.target(item).index, llama("eager"))
    expected = sum((one * one.grad).sum((0, 1, 2)) for one in maps)
    torch.testing.assert_close(torch.tensor(gradient_attention(subject, item).scores), expected, rtol=1e-4, atol=1e-5)
    first, second = ((one[0].mean(0) + torch.eye(item.T)) / 2 for one in maps)
    torch.testing.assert_close(torch.tensor(rollout(subject, item).scores), (second @ first)[-1], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("padding", [0, 3])
def test_a_hugging_face_classifier_against_its_slow_path(padding: int) -> None:
    subject, item = explained(bert(), padding)
    index = subject.target(item).index
    maps = eager_maps(item, index)
    expected = sum((one * one.grad).sum((0, 1, 2)) for one in maps)
    torch.testing.assert_close(torch.tensor(gradient_attention(subject, item).scores), expected, rtol=1e-4, atol=1e-5)
    means = [one[0].mean(0) for one in maps]
    torch.testing.assert_close(torch.tensor(attention(subject, item).scores), means[1][0], rtol=1e-4, atol=1e-6)
    eye = torch.eye(item.T)
    product = (means[1] + eye) / 2 @ (means[0] + eye) / 2
    torch.testing.assert_close(torch.tensor(rollout(subject, item).scores), product[0], rtol=1e-4, atol=1e-6)


def test_rollout_begins_at_the_token_that_the_logits_are_read_from() -> None:
    subject, item = explained(bert(), 2)
    means = [one[0].mean(0) for one in eager_maps(item, 0)]
    product = (means[1] + torch.eye(item.T)) / 2 @ (means[0] + torch.eye(item.T)) / 2
    for reads, expected in (("last", product[-1]), ("mean", product.mean(0))):
        subject.reads = reads
        torch.testing.assert_close(torch.tensor(rollout(subject, item).scores), expected, rtol=1e-4, atol=1e-6)


def test_value_zeroing_and_head_ablation_reach_inside_a_hugging_face_model() -> None:
    model = bert()
    subject, item = explained(model)
    found = value_zeroing(subject, item)
    for place in range(item.T):
        hooks = [
            layer.attention.self.value.register_forward_hook(
                lambda module, given, out, place=place: out * (torch.arange(item.T) != place)[:, None]
            )
            for layer in model.bert.encoder.layer
        ]
        value = subject.target(item, found.target.index).value
        for hook in hooks:
            hook.remove()
        assert found.scores[place] == pytest.approx(found.target.value - value, abs=1e-4)
    effects = {(one.layer, one.head): one.value.value for one in rank_heads(subject, [item])}
    assert set(effects) == {(f"bert.encoder.layer.{n}.attention.self", head) for n in range(2) for head in range(4)}
    for number, layer in enumerate(model.bert.encoder.layer):
        for head in range(4):
            columns = torch.arange(32) // 8 != head
            hook = layer.attention.self.register_forward_hook(
                lambda module, given, out, columns=columns: (out[0] * columns, *out[1:])
            )
            value = subject.target(item, found.target.index).value
            hook.remove()
            effect = effects[f"bert.encoder.layer.{number}.attention.self", head]
            assert effect == pytest.approx(found.target.value - value, abs=1e-4)


def test_all_methods_of_a_hugging_face_model_and_what_is_never_taken_away() -> None:
    subject, item = explained(bert())
    found = explain_items(subject, [item])
    assert not found.refused and set(found.verdicts) == set(METHODS)
    occlusion = found.attributions["occlusion"][0].scores
    assert occlusion[0] == occlusion[-1] == 0 and all(score != 0 for score in occlusion[1:-1])
    fine = integrated_gradients(subject, item, points=400)
    assert abs(fine.details["gap"]) < 0.01 * abs(fine.details["difference"])


def test_a_model_that_computes_attention_itself_is_not_taken_for_one_without() -> None:
    subject, item = explained(bert("eager"))
    with pytest.raises(UsageError, match="load it with attn_implementation='sdpa'"):
        value_zeroing(subject, item)


def test_a_tokenizer_says_what_the_tokens_are_and_which_stay() -> None:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "film"]
    inner = Tokenizer(WordLevel({name: number for number, name in enumerate(names)}, unk_token="[UNK]"))
    inner.pre_tokenizer = Whitespace()
    inner.post_processor = TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    special = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    subject = Subject.of_hugging_face(bert(), PreTrainedTokenizerFast(tokenizer_object=inner, **special))
    item = subject.items(["good film indeed"])[0]
    assert item.tokens == ("[CLS]", "good", "film", "[UNK]", "[SEP]")
    assert item.movable == (False, True, True, True, False)
    assert subject.blank_1T(item).tolist() == [[2, 4, 4, 4, 3]]
    found = explain_texts(subject, ["good film indeed", "film"], ["occlusion", "rollout", "random"])
    assert [len(one.scores) for one in found.attributions["occlusion"]] == [5, 3]


def test_outputs_of_a_hugging_face_model_say_what_they_are() -> None:
    assert Subject.of_hugging_face(bert(labels=1), replacement=1).kind == "score"
    model = bert()
    model.config.problem_type = "multi_label_classification"
    assert Subject.of_hugging_face(model, replacement=1).kind == "multi"
    assert Subject.of_hugging_face(bert(), replacement=1).classes == ("LABEL_0", "LABEL_1", "LABEL_2")
    with pytest.raises(UsageError, match="give replacement"):
        Subject.of_hugging_face(bert())


class Torch(nn.Module):
    """torch's own encoder, read at its first token, with a mask of any kind."""

    def __init__(self, mask: Tensor | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.rows = nn.Embedding(50, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head, self.mask = nn.Linear(16, 2), mask
        with torch.no_grad():
            for parameter in self.parameters():
                parameter += 0.3 * torch.randn_like(parameter)

    def forward(self, ids_BT: Tensor, keep_BT: Tensor) -> Tensor:
        return self.head(self.encoder(self.rows(ids_BT), mask=self.mask)[:, 0])


def torch_subject(mask: Tensor | None = None) -> tuple[Subject, nn.Module]:
    network = Torch(mask).eval()
    return Subject(network, [network.rows], network, replacement=1), network


@pytest.mark.parametrize("kind", ["none", "window", "bias", "holes"])
def test_masks_of_torch_are_read_as_they_are(monkeypatch, kind: str) -> None:
    draw = torch.Generator().manual_seed(0)
    T = 24
    distance = (torch.arange(T) - torch.arange(T)[:, None]).abs()
    holes = (torch.rand(T, T, generator=draw) < 0.4).fill_diagonal_(False)
    mask = {
        "none": None,
        "window": torch.zeros(T, T).masked_fill(distance > 2, float("-inf")),
        "bias": torch.randn(T, T, generator=draw),
        "holes": torch.zeros(T, T).masked_fill(holes, float("-inf")),
    }[kind]
    subject, network = torch_subject(mask)
    item = subject.item(torch.randint(2, 50, (T,), generator=draw).tolist())
    with torch.no_grad(), listening(network) as seen:
        subject.called(subject.ids_1T(item))
    assert [one.name for one in seen] == [f"encoder.layers.{n}.self_attn" for n in range(2)]
    for one in seen:
        torch.testing.assert_close(one.matrix() @ one.v_BGSE, one.out_BHTE, rtol=1e-4, atol=1e-5)
    means = [one.matrix()[0].mean(0) for one in seen]
    product = (means[1] + torch.eye(T)) / 2 @ (means[0] + torch.eye(T)) / 2
    # Slabs lower than the text: what is added to the scores is read some rows at a time.
    monkeypatch.setattr("attnkit.kernels.functionals.HEIGHTS", (8,))
    assert slabs.HEIGHTS != (8,)
    torch.testing.assert_close(torch.tensor(rollout(subject, item).scores), product[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["causal", "boolean", "heads", "scale", "grouped"])
def test_a_call_of_torch_is_the_same_map(kind: str) -> None:
    draw = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, heads, length, 8, generator=draw) for heads, length in ((4, 5), (2, 7), (2, 7)))
    if kind != "grouped":
        k, v = k.repeat_interleave(2, 1), v.repeat_interleave(2, 1)
    mask = None
    if kind == "boolean":
        mask = torch.rand(2, 1, 5, 7, generator=draw) < 0.6
        mask[..., 0] = True
    elif kind == "heads":
        mask = torch.randn(4, 5, 7, generator=draw)
    scale = 0.3 if kind == "scale" else None
    operator = nn.functional.scaled_dot_product_attention
    out = operator(q, k, v, mask, is_causal=kind == "causal", scale=scale, enable_gqa=kind == "grouped")
    seen = as_seen("x", q, k, v, mask, kind == "causal", scale, out)
    torch.testing.assert_close(seen.matrix() @ share_heads(v, 4), out, rtol=1e-4, atol=1e-5)


def test_the_fused_path_of_torch_is_not_missed_and_is_switched_on_again() -> None:
    subject, _ = torch_subject()
    operator, fast = nn.functional.scaled_dot_product_attention, torch.backends.mha.get_fastpath_enabled()
    assert fast
    item = subject.item([5, 6, 7, 8])
    found = value_zeroing(subject, item)
    assert max(abs(score) for score in found.scores) > 0.01
    assert nn.functional.scaled_dot_product_attention is operator
    assert torch.backends.mha.get_fastpath_enabled()


def test_embeddings_that_run_twice_are_refused() -> None:
    network = Torch().eval()
    subject = Subject(
        network, [network.rows], lambda ids, keep: network(ids, keep) + network.rows(ids).sum(), replacement=1
    )
    with pytest.raises(UsageError, match="was called 2 times"):
        integrated_gradients(subject, subject.item([4, 5]))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    attnkit.train(small_data(folder, 120), out=folder / "run", **{**SMALL, "epochs": 6, "encoder": "bilstm"})
    return attnkit.load(folder / "run")


def test_the_model_of_a_run(run) -> None:
    subject = Subject.of_predictor(run)
    texts = [f"the film was {word} and very so" for word in ("good", "awful", "great", "dull", "warm", "cold")]
    found = explain_texts(subject, texts)
    assert not found.refused
    assert [target.label for target in found.targets] == [str(one.label) for one in run.predict(texts)]
    for target, one in zip(found.targets, run.predict(texts), strict=True):
        assert target.share == pytest.approx(one.probability, abs=1e-5)
    assert found.items[0].tokens == tuple(run.attention(texts[0]).tokens)
    assert found.attributions["attention"][0].scores == pytest.approx(run.attention(texts[0]).weights, abs=1e-5)
    tops = [max(range(7), key=one.scores.__getitem__) for one in found.attributions["occlusion"]]
    assert tops.count(3) >= 5, "the telling word"
    json.dumps(found.of_capture())
    assert explain_texts(subject, [""], ["occlusion", "random"]).verdicts == {}
    with pytest.raises(UsageError, match="one bare string"):
        subject.items("the film")
    with pytest.raises(UsageError, match="text 2 must be a string"):
        subject.items(["a", 3])


def test_the_separator_of_a_pair_is_never_taken_away() -> None:
    class Pairs:
        preprocessing = Preprocessing(fit("word", ["good film bad film"] * 2), 32)
        network, paired, classes, task = classifier("none"), True, ("no", "yes"), SingleLabel(("no", "yes"))

    subject = Subject.of_predictor(Pairs())
    item = subject.items([("good film", "bad")])[0]
    assert item.tokens == ("good", "film", "[SEP]", "bad")
    assert item.movable == (True, True, False, True)
    assert subject.blank_1T(item).tolist() == [[1, 1, 2, 1]]
    with pytest.raises(UsageError, match="text 1 must be a pair of texts"):
        subject.items(["good film"])


def test_a_hierarchical_model_is_refused_in_a_sentence(run) -> None:
    class Hierarchical:
        preprocessing = type("P", (), {"hierarchical": True})()
        network = None

    with pytest.raises(UsageError, match="a hierarchical model reads a table of sentences"):
        Subject.of_predictor(Hierarchical())


@pytest.mark.parametrize("added", [False, True])
def test_a_row_of_torch_that_sees_nothing_is_zero_in_our_words(added: bool) -> None:
    q, k, v = (torch.randn(1, 2, 5, 4, generator=torch.Generator().manual_seed(n)) for n in range(3))
    mask = torch.rand(5, 5, generator=torch.Generator().manual_seed(3)).gt(0.4) & (torch.arange(5) != 2)[:, None]
    given = torch.zeros(5, 5).masked_fill(~mask, float("-inf")) if added else mask
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, given)
    seen = as_seen("x", q, k, v, given, False, None, out)
    assert seen.matrix()[:, :, 2].abs().max() == 0.0
    torch.testing.assert_close(seen.matrix() @ v, out)
