"""A packed step is the padded one: same logits, same gradients; and a run says which it takes, and why."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Window
from attnkit.attention.plain import to_plain
from attnkit.attention.position import Rotary
from attnkit.data.batches import bucket_batches, collate, pack, random_batches
from attnkit.data.tokens import fit
from attnkit.errors import FailedError, UsageError
from attnkit.kernels.packed import Pieces
from attnkit.model.build import Classifier, build_model
from attnkit.model.settings import ModelSettings
from attnkit.run.log import read_log
from attnkit.run.recipe import Recipe
from attnkit.train import assemble, load, train
from attnkit.train.choices import Choices
from attnkit.train.choose_batches import choose_batches
from attnkit.train.loop import predict_logits
from attnkit.train.preprocessing import Preprocessing
from tests.train.small import SMALL, small_data
from tests.train.test_resume import Crash, assert_same_end, stop_at

PACKED = {**SMALL, "encoder": "transformer", "attention": "rope", "layers": 2, "heads": 2, "batches": "packed"}
TEXTS = [[5, 6, 7, 8, 9, 10, 11], [12], [13, 14, 15], [], [16, 17, 18], [19, 20]]
NARROW = to_plain(Pairwise(position=Rotary(), pattern=Window(3)))
KINDS: dict[str, dict[str, Any]] = {
    **{
        name: {"attention": name}
        for name in ("vaswani", "bahdanau", "rope", "alibi", "t5", "linear", "nystrom", "entmax-1.5")
    },
    "narrow": {"attention": NARROW},
    "words-beside": {"words_beside": True},
    "ngrams": {"ngrams": 3, "ngram_buckets": 64},
    "queries": {"pooling_queries": 3, "pooling": "star-transformer"},
    "bert": {"encoder": "bert", "beside": ["first", "mean"]},
    "no-encoder": {"encoder": "none", "ngrams": 2, "ngram_buckets": 64},
}


def made(kind: dict[str, Any], dtype: torch.dtype, dropout: float = 0.0) -> Classifier:
    usual = {
        "encoder": "transformer", "layers": 2, "heads": 2, "hierarchical": False, "embedding_width": 10, "width": 12,
        "beside": ["mean", "max"], "ngrams": 0, "words_beside": False, "word_dropout": dropout,
        "embedding_dropout": dropout, "dropout": dropout,
    }  # fmt: skip
    torch.manual_seed(0)
    model = build_model(ModelSettings.model_validate({**usual, **kind}), 40, 3).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def packed(texts: list[list[int]]) -> tuple[Tensor, Pieces]:
    ids_1N, lengths = pack(texts)
    return ids_1N, Pieces(lengths, ids_1N.shape[1] - sum(lengths))


def gradients(model: nn.Module, logits: Tensor) -> dict[str, Tensor]:
    model.zero_grad()
    (logits * torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits)).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("dtype", "near"), [(torch.float64, 1e-10), (torch.float32, 1e-5)], ids=["double", "single"])
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_packed_and_padded_agree_in_logits_and_every_gradient(
    kind: dict[str, Any], dtype: torch.dtype, near: float
) -> None:
    model = made(kind, dtype)
    order = [2, 5, 0, 3, 1, 4]
    for texts in (TEXTS, [TEXTS[row] for row in order], sorted(TEXTS, key=len)):
        one, other = model(*collate(texts)), model(*packed(texts))
        torch.testing.assert_close(other, one, rtol=near, atol=near)
        wanted, found = gradients(model, one), gradients(model, other)
        assert found.keys() == wanted.keys() and len(found) > 5
        for name, grad in wanted.items():
            torch.testing.assert_close(found[name], grad, rtol=near, atol=near * max(1.0, float(grad.abs().max())))


def test_a_packed_text_is_read_as_it_is_alone() -> None:
    model = made(KINDS["vaswani"], torch.float64)
    for row, logits in zip(TEXTS, model(*packed(TEXTS)), strict=True):
        torch.testing.assert_close(model(*packed([row]))[0], logits, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(model(*collate([row]))[0], logits, rtol=1e-12, atol=1e-12)


def test_dropout_falls_on_packed_texts_while_training_alone() -> None:
    model = made({"attention": "vaswani"}, torch.float32, dropout=0.5).train()
    assert not torch.equal(model(*packed(TEXTS)), model(*packed(TEXTS)))
    model.eval()
    assert torch.equal(model(*packed(TEXTS)), model(*packed(TEXTS)))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ({"encoder": "bilstm"}, "BiLSTM reads across"),
        ({"encoder": "cnn"}, "CNN reads across"),
        ({"attention": "recurrent"}, "layer below"),
    ],
)
def test_what_cannot_be_packed_says_so(kind: dict[str, Any], said: str) -> None:
    model = made(kind, torch.float32)
    with pytest.raises(ValueError, match=said):
        model(*packed(TEXTS))
    assert said in str(model.refuses_packing())
    assert "table of sentences" in str(made({"hierarchical": True}, torch.float32).refuses_packing())
    assert made({}, torch.float32).refuses_packing() is None


def test_random_batches_hold_every_row_once_and_the_shortest_first() -> None:
    lengths = torch.randint(1, 99, (50,), generator=torch.Generator().manual_seed(0)).tolist()
    first, again, other = (random_batches(lengths, 8, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert first == again != other
    assert sorted(row for batch in first for row in batch) == list(range(50))
    assert [len(batch) for batch in first] == [8] * 6 + [2]
    assert all(lengths[a] <= lengths[b] for batch in first for a, b in pairwise(batch))
    # Unlike buckets, a batch spans short and long.
    assert min(lengths[b[-1]] - lengths[b[0]] for b in first[:6]) > 40
    assert max(lengths[b[-1]] - lengths[b[0]] for b in bucket_batches(lengths, 8)[:6]) < 40
    with pytest.raises(ValueError, match="at least 1"):
        random_batches(lengths, 0)


def test_packing_puts_ids_end_to_end() -> None:
    ids, lengths = pack([[5, 6], [], [7]])
    assert ids.tolist() == [[5, 6, 7]] and ids.dtype == torch.int64 and lengths == (2, 0, 1)
    assert pack([[], []])[0].tolist() == [[0]]


def test_packed_rows_come_in_sizes_that_repeat() -> None:
    sizes = {pack([[7] * count])[0].shape[1] for count in range(4000, 8001)}
    assert len(sizes) == 33 and min(sizes) == 4032
    ids, lengths = pack([[7] * 4000, [8] * 100])
    assert ids.shape == (1, 4224) and lengths == (4000, 100) and not ids[0, 4100:].any()


def chosen_for(median: int, **model: Any) -> tuple[str, str]:
    values = {"encoder": "transformer", "hierarchical": False, **model}
    recipe = Recipe().with_values({"max_tokens": 512, **values})
    choices = Choices(recipe)
    choose_batches(choices, median)
    return str(choices.recipe.train.batches), choices.reasons["train.batches"]


def test_the_choice_follows_the_model_and_the_texts() -> None:
    reason = "the median text has 230 tokens: nothing is padded, and texts of one length go side by side"
    assert chosen_for(230) == ("packed_sorted", reason)
    assert chosen_for(20)[0] == "sorted" and "20 tokens" in chosen_for(20)[1]
    assert chosen_for(230, max_tokens=50)[0] == "sorted" and "50 tokens" in chosen_for(230, max_tokens=50)[1]
    assert chosen_for(230, encoder="bilstm") == ("sorted", "the encoder bilstm reads texts side by side")
    assert chosen_for(230, hierarchical=True)[0] == "sorted"
    assert chosen_for(230, attention="recurrent")[0] == "sorted"
    choices = Choices(Recipe().with_values({"batches": "sorted", "encoder": "transformer", "max_tokens": 9}))
    choose_batches(choices, 230)
    assert not choices.reasons and choices.recipe.train.batches == "sorted"


def test_a_packed_run_learns_and_predicts_as_ever(tmp_path: Path) -> None:
    run = train(small_data(tmp_path, 120), out=tmp_path / "run", **{**PACKED, "epochs": 8})
    assert run.recipe.train.batches == "packed"
    losses = [line["loss"] for line in read_log(run.path / "log.jsonl") if line["event"] == "evaluation"]
    assert losses[-1] < 0.5 * losses[0]
    predictor = load(run)
    items = predictor.preprocessing.encode(["a good film", "it was awful and so dull"])
    together = predict_logits(predictor.network, predictor.preprocessing, items)
    torch.testing.assert_close(predictor.network(*predictor.preprocessing.pack(items)), together)


def test_a_choice_is_recorded_and_printed(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    settings = {key: value for key, value in PACKED.items() if key != "batches"}
    run = train(
        small_data(tmp_path),
        out=tmp_path / "run",
        progress=lambda event: heard.append(event.values) if event.kind == "choice" else None,
        **settings,
    )
    said = next(values for values in heard if values["field"] == "train.batches")
    assert said["value"] == run.recipe.train.batches == "sorted" and "tokens" in said["reason"]
    assert said["reason"] in (run.path / "recipe.toml").read_text("utf-8")


def test_packed_batches_go_to_the_model_as_they_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Pieces] = []
    whole = Preprocessing.pack

    def listen(self: Preprocessing, items: Any) -> tuple[Tensor, Pieces]:
        seen.append(whole(self, items)[1])
        return whole(self, items)

    monkeypatch.setattr(Preprocessing, "pack", listen)
    train(small_data(tmp_path), out=tmp_path / "run", **{**PACKED, "epochs": 2})
    assert {len(pieces.lengths) for pieces in seen} == {8}
    assert len(seen) == 16 and len(set(seen)) > 8
    seen.clear()
    train(small_data(tmp_path), out=tmp_path / "alike", **{**PACKED, "epochs": 2, "batches": "packed_sorted"})
    assert {len(pieces.lengths) for pieces in seen} == {8}
    assert sum(len(pieces.runs) for pieces in seen) / len(seen) < 3


@pytest.mark.parametrize("batches", ["packed", "packed_sorted"])
def test_resume_of_a_packed_run_is_bit_equal(tmp_path: Path, batches: str) -> None:
    source = small_data(tmp_path)
    settings = {**PACKED, "batches": batches, "epochs": 3, "checkpoint_every_steps": 2, "ema_decay": 0.5}
    train(source, out=tmp_path / "whole", **settings)
    for step in (5, 13):
        with pytest.raises(Crash):
            train(source, out=tmp_path / "run", resume=True, progress=stop_at(step), **settings)
    torch.manual_seed(9)
    train(source, out=tmp_path / "run", resume=True, **settings)
    assert_same_end(tmp_path / "run", tmp_path / "whole")


def test_a_run_cannot_be_forced_where_the_model_cannot(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='cannot be packed: a BiLSTM reads across.*train.batches = "sorted"'):
        train(small_data(tmp_path), out=tmp_path / "run", **{**PACKED, "encoder": "bilstm"})
    assert not list(tmp_path.glob("run*"))


def test_numbers_that_stop_being_numbers_are_found_in_packed_steps_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overflowing(*args: Any, **kwargs: Any) -> Classifier:
        model = build_model(*args, **kwargs)
        with torch.no_grad():
            model.get_parameter("encoder.layers.1.wide.0.weight").fill_(3e38)
        return model

    monkeypatch.setattr(assemble, "build_model", overflowing)
    with pytest.raises(FailedError, match=r"non-finite output is encoder\.layers\.1\.wide"):
        train(small_data(tmp_path), out=tmp_path / "run", **PACKED)


def test_preprocessing_packs_what_it_pads() -> None:
    prepare = Preprocessing(fit("word", ["a b c", "a b"], vocabulary_size=9, lowercase=True, min_count=1), 10)
    items = prepare.encode(["a b c", "b"])
    ids_1N, pieces = prepare.pack(items)
    ids_BT, keep_BT = prepare.collate(items)
    assert torch.equal(ids_BT[keep_BT], ids_1N[0]) and pieces == Pieces((3, 1))
    ids_1N, pieces = prepare.pack(items * 10)
    assert ids_1N.shape == (1, 40) and pieces.spare == 0
    ids_1N, pieces = prepare.pack([items[0]] * 23)
    assert ids_1N.shape == (1, 70) and pieces == Pieces((3,) * 23, spare=1)
