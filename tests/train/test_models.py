"""Networks: padding and batch mates are inert, dropout sleeps in evaluation, eight examples can be learned by heart."""

import pytest
import torch
from torch import Tensor, nn

from attnkit.attention.catalogue import CATALOGUE
from attnkit.layers import tapped
from attnkit.model.bilstm import BiLSTM, reversal
from attnkit.model.build import build_model
from attnkit.model.cnn import CNN
from attnkit.model.embedding import Embedding
from attnkit.model.naive_bayes import fit
from attnkit.model.ngrams import HashedNgrams
from attnkit.model.nonfinite import first_bad_layer
from attnkit.model.operator import operator
from attnkit.model.settings import ModelSettings
from attnkit.model.summary import Summary
from attnkit.model.transformer import sinusoid

KINDS = {
    "bilstm": {"encoder": "bilstm", "layers": 2},
    "cnn": {"encoder": "cnn", "layers": 2, "kernel_widths_tokens": [2, 3]},
    "transformer": {"encoder": "transformer", "heads": 2, "layers": 2},
    "bert": {"encoder": "bert", "heads": 2, "layers": 2, "beside": ["first"]},
    "none": {"encoder": "none"},
    "words-beside": {"encoder": "bilstm", "words_beside": True},
    "ngrams": {"encoder": "none", "ngrams": 3, "ngram_buckets": 64},
    "wide": {"encoder": "cnn", "kernel_widths_tokens": [2], "wide_ngrams": 3, "wide_rows": 300},
    "hierarchical": {"encoder": "bilstm", "hierarchical": True},
    "hierarchical-transformer": {"encoder": "transformer", "hierarchical": True, "heads": 2},
    "queries": {"encoder": "cnn", "pooling_queries": 3, "pooling": "vaswani"},
}


def settings_of(kind: str, dropout: float = 0.0) -> ModelSettings:
    usual = {
        "hierarchical": False, "embedding_width": 12, "width": 12, "beside": ["mean", "max"], "ngrams": 0,
        "words_beside": False, "word_dropout": dropout, "embedding_dropout": dropout, "dropout": dropout,
        "wide_dropout": dropout, "branch_dropout": 0.0,
    }  # fmt: skip
    return ModelSettings.model_validate({**usual, **KINDS[kind]})


def made(kind: str, dropout: float = 0.0, outputs: int = 3) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(settings_of(kind, dropout), 40, outputs).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name == "ngrams.rows.weight":
                parameter[1:].normal_()
    if kind == "wide":
        fill_wide(model)
    return model


def fill_wide(model: nn.Module) -> None:
    """N-grams of drawn texts, the last text of `batch` among them, so that some of it are known."""
    draw = torch.Generator().manual_seed(2)
    items = [torch.randint(3, 40, (5,), generator=draw).tolist() for _ in range(30)]
    items += [batch("wide", lengths)[0][row].tolist() for lengths in ([7, 1, 4], [5, 0, 3]) for row in (0, 2)]
    targets = torch.arange(len(items)) % 3
    fit(model.wide, items, targets, "single", min_texts=1, smoothing=1.0)  # type: ignore[arg-type]
    with torch.no_grad():
        for table in (model.wide.features.score, model.wide.features.factor):  # type: ignore[union-attr]
            table.weight.normal_(0, 0.1)  # type: ignore[union-attr, operator]


def batch(kind: str, lengths: list[int], seed: int = 1) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    keep = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    ids = torch.randint(3, 40, keep.shape, generator=draw) * keep
    if "hierarchical" in kind:
        # Each text becomes as many sentences as it has words, of falling length.
        words = torch.arange(4)[None, None] < (4 - torch.arange(max(lengths)) % 3)[None, :, None]
        keep = keep[..., None] & words
        ids = torch.randint(3, 40, keep.shape, generator=draw) * keep
    return ids, keep


@pytest.mark.parametrize("kind", KINDS)
def test_padding_and_batch_mates_change_nothing(kind: str) -> None:
    model = made(kind)
    ids, keep = batch(kind, [7, 1, 4])
    together = model(ids, keep)
    for row in range(3):
        length = int(keep[row].flatten(1).any(-1).sum()) if ids.ndim == 3 else int(keep[row].sum())
        alone = model(ids[row : row + 1, :length], keep[row : row + 1, :length])
        assert torch.allclose(alone[0], together[row], atol=1e-6), (kind, row)
    wide = [torch.cat([x, torch.zeros_like(x)], 1) for x in (ids, keep)]
    assert torch.allclose(model(*wide), together, atol=1e-6)
    # What stands in padded places is never read.
    junk = torch.where(keep, ids, 17)
    assert torch.allclose(model(junk, keep), together, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_of_nothing_gets_finite_logits_that_mates_do_not_change(kind: str) -> None:
    model = made(kind)
    ids, keep = batch(kind, [5, 0, 3])
    together = model(ids, keep)
    alone = model(ids[1:2, :1], keep[1:2, :1])
    assert together.isfinite().all() and torch.allclose(alone[0], together[1], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_eight_examples_are_learned_by_heart(kind: str) -> None:
    torch.manual_seed(0)
    model = build_model(settings_of(kind), 40, 3)
    ids, keep = batch(kind, [3, 5, 4, 2, 5, 3, 1, 4])
    targets = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(ids, keep), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.05 < losses[0], losses[-1]
    assert torch.equal(model.embedding.rows.weight[0], torch.zeros(12))  # type: ignore[union-attr, index]


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_is_awake_in_training_and_sleeps_in_evaluation(kind: str) -> None:
    model = made(kind, dropout=0.5)
    ids, keep = batch(kind, [6, 4])
    assert torch.equal(model(ids, keep), model(ids, keep))
    model.train()
    assert not torch.equal(model(ids, keep), model(ids, keep))


def test_word_order_matters_to_every_encoder_and_not_without_one() -> None:
    ids = torch.tensor([[5, 6, 7, 8, 9]])
    keep = torch.ones_like(ids, dtype=torch.bool)
    for kind in ("bilstm", "cnn", "transformer", "ngrams", "none"):
        model = made(kind)
        same = torch.allclose(model(ids, keep), model(ids.flip(1), keep), atol=1e-6)
        assert same == (kind == "none"), kind


def test_reversal_turns_words_and_leaves_padding() -> None:
    keep = torch.tensor([[True, True, True, False], [True, False, False, False]])
    assert reversal(keep).tolist() == [[2, 1, 0, 3], [0, 1, 2, 3]]


def test_bilstm_equals_torchs_packed_bidirectional_lstm() -> None:
    torch.manual_seed(0)
    ours, theirs = BiLSTM(5, 8), nn.LSTM(5, 4, batch_first=True, bidirectional=True)
    for lstm, suffix in ((ours.onward[0], ""), (ours.backward_[0], "_reverse")):
        lstm.load_state_dict({n: theirs.state_dict()[n + suffix] for n in lstm.state_dict()})
    x, lengths = torch.randn(3, 6, 5), torch.tensor([6, 2, 4])
    keep = torch.arange(6)[None] < lengths[:, None]
    packed = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
    expected, _ = nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    assert torch.allclose(ours(x, keep), expected, atol=1e-6)


def test_cnn_against_its_formula() -> None:
    torch.manual_seed(0)
    cnn = CNN(2, 3, (3,))
    kernel = cnn.layers[0].kernels[0]
    x = torch.randn(1, 4, 2)
    out = cnn(x, torch.ones(1, 4, dtype=torch.bool))
    around = [torch.zeros(2), *x[0], torch.zeros(2)]
    for t in range(4):
        window = torch.stack(around[t : t + 3], 1)
        expected = torch.relu((kernel.weight * window).sum((1, 2)) + kernel.bias)
        assert torch.allclose(out[0, t], expected, atol=1e-6)


def test_word_dropout_hides_words_and_never_padding() -> None:
    torch.manual_seed(0)
    embedding = Embedding(10, 4, word_dropout=0.5)
    ids = torch.tensor([[5] * 200 + [0] * 200])
    seen = embedding(ids)[0]
    unknown = (seen[:200] == embedding.rows.weight[1]).all(-1).float().mean()
    assert 0.35 < float(unknown) < 0.65
    assert torch.equal(seen[200:], torch.zeros(200, 4))


def test_ngrams_depend_on_the_words_before_and_stay_inside_the_text() -> None:
    torch.manual_seed(0)
    ngrams = HashedNgrams(2, 1000, 4)
    nn.init.normal_(ngrams.rows.weight[1:])
    ids = torch.tensor([[5, 6, 7], [8, 6, 7]])
    out = ngrams(ids, torch.ones_like(ids, dtype=torch.bool))
    assert torch.equal(out[:, 0], torch.zeros(2, 4))
    assert not torch.equal(out[0, 1], out[1, 1]) and torch.equal(out[0, 2], out[1, 2])


def test_summary_stands_attention_mean_and_max_side_by_side() -> None:
    torch.manual_seed(0)
    summary = Summary(4, operator("bahdanau"), beside=("mean", "max"))
    x = torch.randn(2, 3, 4)
    keep = torch.tensor([[True, True, False], [False, False, False]])
    out = summary(x, keep)
    assert torch.allclose(out[0, 4:8], x[0, :2].mean(0)) and torch.equal(out[0, 8:], x[0, :2].amax(0))
    assert torch.equal(out[1], torch.zeros(12))


def test_sinusoid_against_its_formula() -> None:
    place = sinusoid(torch.zeros(1, 9, 6))
    assert float(place[7, 2]) == pytest.approx(float(torch.sin(torch.tensor(7 / 10000 ** (2 / 6)))), abs=1e-6)
    assert float(place[7, 3]) == pytest.approx(float(torch.cos(torch.tensor(7 / 10000 ** (2 / 6)))), abs=1e-6)


def test_the_first_bad_layer_is_the_first() -> None:
    model = made("bilstm")
    ids, keep = batch("bilstm", [4, 2])
    assert "every layer" in first_bad_layer(model, ids, keep)
    with torch.no_grad():
        model.encoder.backward_[1].weight_hh_l0[0, 0] = float("inf")  # type: ignore[union-attr, index]
    assert "encoder.backward_.1.weight_hh_l0" in first_bad_layer(model, ids, keep)


@pytest.mark.parametrize("kind", ["cnn", "transformer", "none", "ngrams", "queries", "wide"])
def test_models_without_recurrence_export_with_dynamic_batch_and_length(kind: str) -> None:
    # torch.export unrolls an LSTM, which fixes the length; the others must stay free.
    model = made(kind)
    axes = {0: torch.export.Dim("B", min=1, max=64), 1: torch.export.Dim("T", min=2, max=512)}
    exported = torch.export.export(model, batch(kind, [5, 3, 4]), dynamic_shapes=(axes, axes)).module()
    other = batch(kind, [9, 2], seed=3)
    assert torch.allclose(exported(*other), model(*other), atol=1e-5)


def test_each_catalogue_operator_reads_and_pools_in_a_network() -> None:
    without_ids = sorted(set(CATALOGUE) - {"documents"})
    assert len(without_ids) >= 40
    ids, keep = batch("cnn", [9, 4, 1])
    for name in without_ids:
        for choice in ({"encoder": "none", "pooling": name}, {"encoder": "transformer", "heads": 2, "attention": name}):
            torch.manual_seed(0)
            plain = {**settings_of("none").model_dump(mode="json"), "layers": 2, **choice}
            model = build_model(ModelSettings.model_validate(plain), 40, 3).eval()
            together = model(ids, keep)
            together.sum().backward()
            assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters()), (name, choice)
            alone = model(ids[1:2, :4], keep[1:2, :4])
            assert torch.allclose(alone[0], together[1], atol=1e-5), (name, choice)


def test_a_refinement_across_layers_reads_the_layer_below() -> None:
    name = next(name for name, entry in CATALOGUE.items() if entry.operator.needs_state)
    model = build_model(
        ModelSettings.model_validate(
            {**settings_of("transformer").model_dump(mode="json"), "attention": name, "layers": 2, "heads": 2}
        ),
        40,
        3,
    ).eval()
    ids, keep = batch("cnn", [6])
    with tapped(model) as seen:
        model(ids, keep)
    layers = [one for one in seen if "attention" in one.name]
    assert layers[0].state is None and torch.allclose(layers[1].state, layers[0].matrix())  # type: ignore[arg-type]
