"""Language models: nothing sees what it is to predict, figures are those of the formula, and runs go on from them."""

import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from attnkit.data.batches import collate, pack
from attnkit.errors import UsageError
from attnkit.kernels.packed import Pieces
from attnkit.model.build import build_model
from attnkit.model.embedding import UNKNOWN
from attnkit.model.language import LanguageModel
from attnkit.model.settings import ModelSettings
from attnkit.task.choose import task_from_dict
from attnkit.task.language import LanguageModeling
from attnkit.train import load, train
from attnkit.train.evaluation import evaluate
from attnkit.train.pretrain import pretrain
from attnkit.train.propose import propose
from tests.train.small import SMALL, sentences, small_data, split_data
from tests.train.test_resume import Crash, assert_same_end, stop_at, weights_of

KINDS: dict[str, dict[str, Any]] = {
    "masked-transformer": {"language": "masked", "encoder": "transformer", "attention": "rope"},
    "masked-cnn": {"language": "masked", "encoder": "cnn"},
    "masked-bilstm": {"language": "masked", "encoder": "bilstm", "layers": 2},
    "masked-bert": {"language": "masked", "encoder": "bert"},
    "causal-transformer": {"language": "causal", "encoder": "transformer", "attention": "llama"},
    "causal-bilstm": {"language": "causal", "encoder": "bilstm"},
}
PACKED = [kind for kind in KINDS if "transformer" in kind or "bert" in kind]
TEXTS = [[5, 6, 7, 8, 9, 10, 11, 12, 13, 14], [15], [], [16, 17, 18], [7, 7, 7, 7, 20, 21, 1, 2, 22, 23, 24]]


def made(kind: str, dropout: float = 0.0) -> LanguageModel:
    usual = {
        "layers": 1, "heads": 2, "hierarchical": False, "embedding_width": 10, "width": 12, "beside": [], "ngrams": 0,
        "words_beside": False, "word_dropout": 0.0, "embedding_dropout": dropout, "dropout": dropout,
    }  # fmt: skip
    torch.manual_seed(0)
    model = build_model(ModelSettings.model_validate({**usual, **KINDS[kind]}), 30, 3).eval()
    assert isinstance(model, LanguageModel)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def packed(texts: list[list[int]]) -> tuple[Tensor, Pieces]:
    ids, lengths = pack(texts)
    return ids, Pieces(lengths, ids.shape[1] - sum(lengths))


@pytest.mark.parametrize("kind", KINDS)
def test_figures_of_a_text_depend_on_neither_padding_nor_mates(kind: str) -> None:
    model = made(kind)
    with torch.no_grad():
        together = model(*collate(TEXTS))
        for number, text in enumerate(TEXTS):
            assert torch.allclose(model(*collate([text]))[0], together[number], atol=1e-5)
        if kind in PACKED:
            assert torch.allclose(model(*packed(TEXTS)), together, atol=1e-5)
    assert together[2].tolist() == [0, 0, 0]
    assert together[:, 1].sum() > 0


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.startswith("causal")])
def test_causal_figures_are_the_sum_over_words_in_each_direction(kind: str) -> None:
    model = made(kind)
    ids, keep = collate([TEXTS[4]])
    length = len(TEXTS[4])
    with torch.no_grad():
        total = 0.0
        found = model.encoder(model.embedding(ids), keep)[0]
        half = found.shape[-1] // 2 if model.both_ways else found.shape[-1]
        for place in range(length):
            word = TEXTS[4][place]
            if word <= 2:
                continue
            sides = [found[place - 1, :half]] if place else []
            sides += [found[place + 1, half:]] if model.both_ways and place + 1 < length else []
            for h in sides:
                logits = model.words(h) @ model.embedding.rows.weight.T + model.bias
                total -= float(logits.log_softmax(-1)[word])
        assert model(ids, keep)[0, 0] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_no_word_is_seen_where_it_is_predicted(kind: str) -> None:
    # The gradient of one word's loss in the embeddings may not reach the place of that word itself.
    model = made(kind)
    ids, keep = collate([TEXTS[0]])
    seen: list[Tensor] = []
    hook = model.embedding.register_forward_hook(
        lambda module, given, out: seen.append(out.detach().requires_grad_()) or seen[-1]
    )
    try:
        if kind.startswith("masked"):
            place = torch.arange(ids.shape[1]).unsqueeze(0)
            hidden = model._chosen(ids, place, keep)
            assert hidden.any()
            read = model._hidden(ids, hidden)
            assert (read[hidden] == model.mask_id).all() and (read[~hidden] == ids[~hidden]).all()
            return
        found = model._read(ids, keep)
        half = found.shape[-1] // 2 if model.both_ways else found.shape[-1]
        found[0, 3, :half].sum().backward(retain_graph=True)
        reached = seen[0].grad[0].abs().sum(-1) > 0  # type: ignore[index]
        assert reached[:4].any() and not reached[4:].any()
        if model.both_ways:
            seen[0].grad = None
            found[0, 3, half:].sum().backward()
            reached = seen[0].grad[0].abs().sum(-1) > 0  # type: ignore[index]
            assert reached[3:].any() and not reached[:3].any()
    finally:
        hook.remove()


def test_training_hides_as_devlin_does_and_measuring_always_the_same() -> None:
    model = made("masked-transformer")
    ids = torch.randint(3, 30, (400, 50), generator=torch.Generator().manual_seed(1))
    place, may = torch.arange(50).expand(400, 50), torch.ones(400, 50, dtype=torch.bool)
    chosen = model._chosen(ids, place, may)
    assert chosen.float().mean() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(chosen, model._chosen(ids, place, may))
    model.train()
    torch.manual_seed(0)
    drawn = model._chosen(ids, place, may)
    shown = model._hidden(ids, drawn)
    assert drawn.float().mean() == pytest.approx(0.15, abs=0.01) and not torch.equal(drawn, chosen)
    assert (shown[drawn] == UNKNOWN).float().mean() == pytest.approx(0.8, abs=0.02)
    # Of the tenth that is another word one in 27 is the word itself again.
    assert (shown[drawn] == ids[drawn]).float().mean() == pytest.approx(0.1 + 0.1 / 27, abs=0.02)
    assert torch.equal(shown[~drawn], ids[~drawn])


@pytest.mark.parametrize("kind", KINDS)
def test_a_few_texts_are_learned_by_heart(kind: str) -> None:
    # In evaluation the same words are hidden at every step.
    model, task = made(kind), LanguageModeling(KINDS[kind]["language"])
    inputs, targets = collate([TEXTS[0], TEXTS[3], TEXTS[4]]), torch.zeros(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = task.loss(model(*inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


def test_what_would_see_the_words_it_predicts_is_refused() -> None:
    for change, sentence in (
        ({"encoder": "cnn", "language": "causal"}, 'set model.language = "masked"'),
        ({"encoder": "none", "language": "masked"}, "set model.encoder"),
        ({"encoder": "bilstm", "language": "causal", "layers": 2}, "set model.layers = 1"),
        ({"encoder": "transformer", "language": "causal", "attention": "rope"}, 'set model.attention = "llama"'),
        ({"encoder": "bilstm", "language": "masked", "ngrams": 2}, "leave hierarchical, ngrams and wide_ngrams out"),
    ):
        KINDS["refused"] = change
        try:
            with pytest.raises(ValueError, match=sentence):
                made("refused")
        finally:
            del KINDS["refused"]


def test_perplexity_is_that_of_all_words_with_an_interval_over_texts() -> None:
    task = LanguageModeling("causal")
    sums = torch.tensor([[6.0, 3, 1], [0, 0, 0], [2, 1, 1], [10, 4, 0]])
    measures = task.measure(sums, torch.zeros(4))
    assert measures["perplexity"].value == pytest.approx(math.exp(18 / 8))
    assert measures["word_accuracy"].value == pytest.approx(2 / 8)
    assert measures["perplexity"].low < measures["perplexity"].value < measures["perplexity"].high
    assert measures["perplexity"].n == 4 and "8 words of 4 texts" in measures["perplexity"].protocol
    assert task.selection_value(sums, torch.zeros(4)) == pytest.approx(math.exp(18 / 8))
    assert float(task.loss(sums, torch.zeros(4))) == pytest.approx(18 / 8)
    assert [one.label for one in task.predict(sums)] == pytest.approx([math.exp(2), 1, math.exp(2), math.exp(2.5)])
    assert task_from_dict(task.to_dict()) == task
    with pytest.raises(UsageError, match="no word to predict"):
        task.measure(torch.zeros(2, 3), torch.zeros(2))
    with pytest.raises(UsageError, match="masked or causal"):
        LanguageModeling("other")  # type: ignore[arg-type]


HOW = {**SMALL, "watch_rows": 2, "heads": 2}


def texts(folder: Path) -> Path:
    path = folder / "texts.txt"
    path.write_text("\n".join(["", *(text for text, _ in sentences(80)), " "]), "utf-8")
    return path


def test_pretrained_words_start_a_training_and_all_of_it_is_a_run(tmp_path: Path) -> None:
    run = pretrain(texts(tmp_path), out=tmp_path / "words", **HOW, encoder="transformer", batches="packed")
    assert run.recipe.model.language == "masked" and run.recipe.model.attention == "rope"
    assert set(run.metrics["validation"]) == {"perplexity", "word_accuracy"} and not run.metrics["test"]
    assert run.metrics["sizes"] == {"train": 72, "validation": 8, "test": 0}
    assert (run.path / "report.html").is_file() and (run.path / "log.jsonl").is_file()
    (one,) = load(run).predict(["the film was very good and so it was fine"])
    assert isinstance(one.label, float) and one.label >= 1
    child = train(
        small_data(tmp_path), out=tmp_path / "child", epochs=1, learning_rate=1e-9, weight_decay=0.0,
        start_from=str(run.path), watch_rows=0,
    )  # fmt: skip
    old, new = weights_of(run.path), weights_of(child.path)
    shared = {name for name in old if name.startswith(("embedding.", "encoder."))}
    assert shared and all(torch.allclose(old[name], new[name], atol=1e-6) for name in shared)
    assert child.recipe.model.language == "none" and child.recipe.model.attention == "rope"


def test_stopped_and_resumed_is_the_same(tmp_path: Path) -> None:
    path = texts(tmp_path)
    how = {**HOW, "encoder": "bilstm", "checkpoint_every_steps": 2}
    whole = pretrain(path, objective="causal", out=tmp_path / "whole", **how)
    with pytest.raises(Crash):
        pretrain(path, objective="causal", out=tmp_path / "parts", progress=stop_at(5), **how)
    parts = pretrain(path, objective="causal", out=tmp_path / "parts", resume=True)
    assert_same_end(whole.path, parts.path)


def test_labels_and_test_texts_are_not_read(tmp_path: Path) -> None:
    data = split_data(tmp_path)
    run = pretrain(data, out=tmp_path / "one", **HOW, encoder="cnn")
    assert run.metrics["sizes"]["test"] == 0 and run.data["schema"]["label"] is None
    for path in data.glob("*.csv"):
        path.write_text(path.read_text().replace(",pos", ",no").replace(",neg", ",no"))
    (data / "test.csv").write_text("text,label\nanother text altogether,no\n")
    other = pretrain(data, out=tmp_path / "two", **HOW, encoder="cnn")
    one, two = weights_of(run.path), weights_of(other.path)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_a_checkpoint_may_be_trained_on_for_words(tmp_path: Path) -> None:
    from tests.train.checkpoints import saved

    saved("bert", tmp_path / "checkpoint")
    how = {"epochs": 1, "batch_rows": 8, "watch_rows": 0, "precision": "float32", "freeze": ["encoder.0"]}
    run = pretrain(texts(tmp_path), out=tmp_path / "words", **how, start_from=str(tmp_path / "checkpoint"))
    shutil.rmtree(tmp_path / "checkpoint")
    child = train(small_data(tmp_path), out=tmp_path / "child", epochs=1, batch_rows=8, start_from=str(run.path))
    assert child.recipe.model.encoder == "bert" and child.recipe.model.pooling == "vaswani"
    assert torch.equal(
        weights_of(run.path)["places.positions.weight"], weights_of(child.path)["places.positions.weight"]
    )


def test_what_belongs_to_labels_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    path = texts(tmp_path)
    for more, sentence in (
        ({"folds": 3, "read_test": True}, "evaluate.folds is for labels"),
        ({"baselines": True}, "evaluate.baselines is for labels"),
        ({"class_weights": True}, "words are predicted; leave class weights out"),
        ({"hierarchical": True}, "leave hierarchical, ngrams and wide_ngrams out"),
        ({"wide_ngrams": 2}, "leave hierarchical, ngrams and wide_ngrams out"),
        ({"pooling": "dot"}, "model.pooling = 'dot' says what is made of a whole text"),
        ({"beside": ("max",)}, "model.beside = "),
        ({"mixup": 0.2}, "regularize.mixup is about the predictions"),
        ({"text": "nothing"}, "no column 'nothing'"),
    ):
        with pytest.raises(UsageError, match=sentence):
            pretrain(path, out=tmp_path / "run", **{**HOW, **more})
        assert sorted(one.name for one in tmp_path.iterdir()) == ["texts.txt"], more


def test_a_recipe_for_words_is_proposed_without_a_label(tmp_path: Path) -> None:
    found = propose(small_data(tmp_path), language="masked").recipe
    assert found.model.encoder == "transformer" and found.data.label == ""


def test_a_run_is_measured_again_on_other_texts(tmp_path: Path) -> None:
    run = pretrain(texts(tmp_path), objective="causal", out=tmp_path / "words", **HOW, encoder="bilstm")
    found = evaluate(run, small_data(tmp_path))
    assert found.measures["perplexity"].n == 80 and found.measures["perplexity"].value > 1
