"""A trained model, loaded: what it answers, where it looked, and what it says of a damaged directory."""

import json
import random
import shutil
from pathlib import Path

import pytest
import safetensors.torch
import torch

from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.record import read_record, write_record
from attnkit.train import evaluate, load, train
from tests.train.small import SMALL, sentences, small_data, write_csv

SETTINGS = {**SMALL, "epochs": 6, "width": 12, "embedding_width": 12}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    return train(small_data(folder, 160), out=folder / "run", **SETTINGS).path


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def test_answers_do_not_depend_on_batch_mates_or_order(trained: Path) -> None:
    predictor = load(trained)
    texts = [text for text, _ in sentences(40, seed=4)] + ["", "good " * 300]
    together = predictor.predict(texts)
    for number in (0, 7, 40, 41):
        alone = predictor.predict([texts[number]])[0]
        assert alone.label == together[number].label
        assert alone.probabilities == pytest.approx(together[number].probabilities, abs=1e-6)
    backward = predictor.predict(texts[::-1])[::-1]
    assert [p.label for p in backward] == [p.label for p in together]
    assert all(sum(p.probabilities.values()) == pytest.approx(1) for p in together)


def test_long_texts_are_read_up_to_the_limit_and_say_so(trained: Path) -> None:
    predictor = load(trained)
    limit = predictor.preprocessing.max_tokens
    words = ["good"] * limit
    looked = predictor.attention(" ".join([*words, "bad", "bad"]))
    assert (len(looked.tokens), looked.cut) == (limit, 2)
    assert predictor.predict([" ".join([*words, "bad"])])[0] == predictor.predict([" ".join(words)])[0]


def test_attention_gives_each_token_its_weight(trained: Path) -> None:
    looked = load(trained).attention("it was a great film")
    assert looked.tokens == ["it", "was", "a", "great", "film"]
    assert sum(looked.weights) == pytest.approx(1, abs=1e-5) and min(looked.weights) >= 0
    assert looked.prediction == load(trained).predict(["it was a great film"])[0]
    nothing = load(trained).attention("")
    assert (nothing.tokens, nothing.weights) == ([], [])


def test_wrong_input_is_one_sentence(trained: Path) -> None:
    predictor = load(trained)
    with pytest.raises(UsageError, match="list of texts"):
        predictor.predict("a bare string")
    with pytest.raises(UsageError, match="text 2 must be a string"):
        predictor.predict(["fine", 3])  # type: ignore[list-item]
    assert predictor.predict([]) == []


def test_hierarchical_models_weigh_words_by_their_sentences(tmp_path: Path) -> None:
    rows = []
    for number, (text, label) in enumerate(sentences(160)):
        around = [" ".join(random.Random(number + k).choices(["the", "movie", "was", "so"], k=4)) for k in range(3)]
        rows.append((". ".join([around[0], text, around[1]]) + ". " + around[2], label))
    settings = {**SETTINGS, "hierarchical": True, "epochs": 10, "width": 16}
    run = train(write_csv(tmp_path / "documents.csv", rows), out=tmp_path / "run", **settings)
    predictor = load(run)
    looked = predictor.attention("The plot. It was a great film! So very long.")
    assert [t for t in looked.tokens if t != "[UNK]"][:6] == ["the", "plot", ".", "it", "was", "a"]
    assert sum(looked.weights) == pytest.approx(1, abs=1e-5)
    assert len(looked.tokens) == len(looked.weights)
    assert run.metrics["test"]["accuracy"]["value"] >= 0.7
    assert predictor.predict(["", "good", "bad. " * 500])[0].probability is not None


def test_kinds_of_labels(tmp_path: Path) -> None:
    rows = sentences(120)
    pairs = write_csv(
        tmp_path / "pairs.csv",
        [(text, other[0], "same" if text[:1] == other[0][:1] else "different") for text, other in zip(
            [r[0] for r in rows], sentences(120, seed=5), strict=True)],
        ("sentence1", "sentence2", "label"),
    )  # fmt: skip
    run = train(pairs, out=tmp_path / "pairs", **SMALL)
    predictor = load(run)
    assert predictor.predict([("a film", "a plot")])[0].label in ("same", "different")
    assert "[SEP]" in predictor.attention(("a film", "a plot")).tokens
    with pytest.raises(UsageError, match="pair"):
        predictor.predict(["one text"])

    scores = write_csv(tmp_path / "scores.csv", [(t, str(1.25 + (y == "pos") * 3 + n % 7 / 50)) for n, (t, y) in
                                                 enumerate(rows)])  # fmt: skip
    run = train(scores, out=tmp_path / "scores", **{**SETTINGS, "epochs": 12})
    said = [p.label for p in load(run).predict(["a great film it was", "so dull the plot"])]
    assert said[0] > said[1] and all(0 < score < 6 for score in said)

    many = tmp_path / "many.jsonl"
    many.write_text("\n".join(json.dumps({"text": t, "label": [y, "any"] if n % 3 else [y]}) for n, (t, y) in
                              enumerate(rows)))  # fmt: skip
    run = train(many, out=tmp_path / "many", **SMALL)
    assert set(load(run).predict(["a great film"])[0].probabilities) == {"any", "neg", "pos"}


def test_folds_test_each_row_once(tmp_path: Path) -> None:
    run = train(small_data(tmp_path, 60), out=tmp_path / "run", folds=3, baselines=True, **SMALL)
    metrics = run.metrics
    assert metrics["test"]["accuracy"]["n"] == 60 and len(metrics["folds"]["measures"]) == 3
    each = [fold["measures"]["accuracy"] for fold in metrics["folds"]["measures"]]
    assert sum(one["n"] for one in each) == 60
    right = sum(one["value"] * one["n"] for one in each)
    assert metrics["test"]["accuracy"]["value"] == pytest.approx(right / 60)
    assert {line["name"] for line in metrics["baselines"]} and "3-fold" in metrics["protocol"]
    assert load(run).predict(["a good film"])
    assert not (run.path / "folds").exists() and not list(run.path.rglob("checkpoint*"))
    assert "fold 1" in evaluate(run).protocol


def truncated(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def edited(path: Path) -> None:
    path.write_text(path.read_text("utf-8").replace('"embedding_width": 12', '"embedding_width": 99'), "utf-8")


def newer(path: Path) -> None:
    path.write_text(path.read_text("utf-8").replace('"format": 1', '"format": 7'), "utf-8")


def list_instead(path: Path) -> None:
    path.write_text("[1, 2, 3]")


def deep(path: Path) -> None:
    path.write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("weights.safetensors", Path.unlink, "is missing"),
        ("weights.safetensors", truncated, "not a whole safetensors file"),
        ("model.json", truncated, "cannot be read"),
        ("model.json", edited, "checksum differs"),
        ("model.json", newer, "format 7"),
        ("model.json", list_instead, "not an object"),
        ("model.json", deep, "cannot be read"),
        ("tokenizer.json", Path.unlink, "is missing"),
        ("tokenizer.json", truncated, "checksum differs"),
    ],
)
def test_a_damaged_model_is_one_sentence(copied: Path, name: str, damage, said: str) -> None:
    damage(copied / "model" / name)
    with pytest.raises(UsageError, match=said) as caught:
        load(copied)
    assert "\n" not in str(caught.value)


def test_weights_that_do_not_fit_are_named_before_memory_is_taken(copied: Path) -> None:
    from attnkit.run.record import file_sha256

    record = read_record(copied / "model" / "model.json")
    record["model"]["embedding_width"] = 8192
    record["vocabulary_size"] = 4_000_000_000
    write_record(copied / "model" / "model.json", {k: v for k, v in record.items() if k != "format"})
    with pytest.raises(UsageError, match=r"embedding\.rows\.weight has shape"):
        load(copied)
    path = copied / "model" / "weights.safetensors"
    safetensors.torch.save_file({"other": torch.zeros(2)}, path)
    record["files"]["weights.safetensors"] = file_sha256(path)
    write_record(copied / "model" / "model.json", {k: v for k, v in record.items() if k != "format"})
    with pytest.raises(UsageError, match="is missing; copy"):
        load(copied)


def test_flipped_bytes_are_refused(copied: Path) -> None:
    draw = random.Random(0)
    for name in ("weights.safetensors", "tokenizer.json", "model.json"):
        path = copied / "model" / name
        whole = path.read_bytes()
        for _ in range(15):
            place = draw.randrange(len(whole))
            path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << draw.randrange(8))]) + whole[place + 1 :])
            try:
                answer = load(copied).predict(["a good film"])
            except UsageError as error:
                assert "\n" not in str(error)
            else:
                # White space of the JSON itself may differ and mean the same.
                assert answer == load(copied).predict(["a good film"]) and name == "model.json"
        path.write_bytes(whole)


def test_paths_that_hold_no_run(tmp_path: Path, copied: Path) -> None:
    for path, said in [(tmp_path / "none", "no run at"), (tmp_path, "not a run directory")]:
        with pytest.raises(UsageError, match=said):
            load(path)
    shutil.rmtree(copied / "model")
    with pytest.raises(UsageError, match="holds no model"):
        load(copied)
    copied.rename(tmp_path / "other.partial")
    with pytest.raises(UsageError, match="not finished"):
        load(tmp_path / "other")


def test_reading_a_run_executes_nothing(copied: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trap.py").write_text("raise SystemExit('executed')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = copied / "recipe.toml"
    recipe.write_text(recipe.read_text("utf-8").replace('pooling = "bahdanau"', 'pooling = "trap:Attention"'), "utf-8")
    assert Run.open(copied).recipe.model.pooling == "trap:Attention"
    record = read_record(copied / "model" / "model.json")
    record["model"]["pooling"] = "trap:Attention"
    write_record(copied / "model" / "model.json", {k: v for k, v in record.items() if k != "format"})
    with pytest.raises(UsageError, match="allow"):
        load(copied)
