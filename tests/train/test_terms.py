"""Terms of the objective: sizes of weights, entropy of attention, mixup, and dropouts, each against its formula."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from attnkit.capture.record import capture
from attnkit.data.batches import collate
from attnkit.errors import UsageError
from attnkit.model.bert import BertEncoder
from attnkit.model.build import build_model
from attnkit.model.settings import ModelSettings
from attnkit.model.stochastic_depth import StochasticDepth
from attnkit.model.transformer import TransformerEncoder
from attnkit.task.multi_label import MultiLabel
from attnkit.task.single_label import SingleLabel
from attnkit.train import train
from attnkit.train.choices import Choices
from attnkit.train.choose_batches import choose_batches
from attnkit.train.objective import Batch, Objective
from attnkit.train.terms.check import check_terms
from attnkit.train.terms.entropy import attention_entropy
from attnkit.train.terms.hearing import heard
from attnkit.train.terms.mixup import beta_share, mixed_loss
from attnkit.train.terms.weights import matrices, size_penalty
from tests.train.small import SMALL, small_data
from tests.train.test_adversarial import KINDS, TARGETS, TASK, TEXTS, made, packed, recipe, slope, tables

BATCH = Batch(collate(TEXTS), TARGETS)


def test_penalties_are_on_matrices_alone() -> None:
    model = made("ngrams")
    names = {name for name, parameter in model.named_parameters() if any(parameter is w for w in matrices(model))}
    assert "head.weight" in names and "summary.pooling.queries" in names
    assert not names & {"head.bias", "embedding.rows.weight", "ngrams.rows.weight"}
    values = [x for name in names for x in model.get_parameter(name).flatten().tolist()]
    wanted = 0.3 * sum(map(abs, values)) + 0.7 / 2 * sum(x * x for x in values)
    assert float(size_penalty(model, 0.3, 0.7).detach()) == pytest.approx(wanted)


def test_penalties_stand_in_the_objective_whatever_the_batch() -> None:
    model = made("ngrams")
    plain = Objective(TASK, recipe(), TARGETS)(model, BATCH)
    found = Objective(TASK, recipe(l1=0.1, l2=0.2), TARGETS)(model, BATCH)
    assert float((found - plain).detach()) == pytest.approx(float(size_penalty(model, 0.1, 0.2).detach()))
    model.zero_grad()
    size_penalty(model, 0.1, 0.2).backward()
    w = model.get_parameter("head.weight")
    torch.testing.assert_close(w.grad, 0.1 * w.detach().sign() + 0.2 * w.detach())


HEARD: dict[str, dict[str, Any]] = {
    "transformer": {},
    "entmax": {"attention": "entmax-1.5", "pooling": "entmax-1.5"},
    "window": {"attention": "longformer"},
    "sigmoid": {"pooling": "sigmoid"},
    "hybrid": {"attention": "hybrid"},
}


@pytest.mark.parametrize("more", HEARD.values(), ids=HEARD)
def test_entropy_is_what_the_capture_says_and_outputs_are_untouched(more: dict[str, Any]) -> None:
    model = made(**more)
    with heard(model) as seen:
        logits = model(*BATCH.inputs)
    assert torch.equal(logits, model(*BATCH.inputs)) and len(seen) == 3
    found = float(attention_entropy(seen).detach())
    with torch.no_grad(), capture(model, "stats", statistics=("entropy_share",)) as captured:
        model(*BATCH.inputs)
    wanted = []
    for layer in captured.layers:
        share = layer.statistics["entropy_share"].double()
        # A query that sees one key has nothing to spread: texts of one word, and no other, are such.
        counted = torch.zeros_like(share, dtype=torch.bool)
        for row, text in enumerate(TEXTS):
            counted[row, :, : len(text) if layer.kind == "self" else 1] = len(text) > 1
        wanted.append(float(share[counted].mean()))
    assert found == pytest.approx(sum(wanted) / 3, abs=1e-6)
    assert 0 < found < 1


@pytest.mark.parametrize("more", [{}, {"attention": "entmax-1.5", "pooling": "entmax-1.5"}], ids=["softmax", "entmax"])
def test_the_gradient_of_entropy_is_that_of_finite_differences(more: dict[str, Any]) -> None:
    model = made(**more)

    def value() -> torch.Tensor:
        with heard(model) as seen:
            model(*BATCH.inputs)
        return attention_entropy(seen)

    model.zero_grad()
    value().backward()
    checked = 0
    for name in ("encoder.layers.0.attention.query.weight", "encoder.layers.1.attention.key.weight",
                 "summary.pooling.queries", "embedding.rows.weight"):  # fmt: skip
        parameter = model.get_parameter(name)
        assert parameter.grad is not None
        way = torch.randn_like(parameter)
        before = parameter.detach().clone()

        def at(step: float, parameter: Any = parameter, before: Any = before, way: Any = way) -> float:
            with torch.no_grad():
                parameter.copy_(before + step * way)
                return float(value())

        assert slope(at, 1e-6) == pytest.approx(float((parameter.grad * way).sum()), rel=1e-4, abs=1e-8)
        at(0.0)
        checked += 1
    assert checked == 4


def test_even_attention_has_entropy_one_and_a_single_key_none() -> None:
    model = made(layers=1)
    with torch.no_grad():
        for name in ("encoder.layers.0.attention.query", "encoder.layers.0.attention.key"):
            model.get_submodule(name).weight.zero_()
            model.get_submodule(name).bias.zero_()
        for parameter in model.get_submodule("summary.pooling").parameters():
            parameter.zero_()
    with heard(model) as seen:
        model(*BATCH.inputs)
    assert float(attention_entropy(seen).detach()) == pytest.approx(1)
    with heard(model) as seen:
        model(*collate([[5], [6]]))
    assert float(attention_entropy(seen).detach()) == 0


def test_the_entropy_of_a_trained_model_goes_where_its_weight_says() -> None:
    reached = {}
    for weight in (-0.5, 0.0, 0.5):
        model = made(layers=1).float()
        objective = Objective(TASK, recipe(attention_entropy=weight), TARGETS)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(40):
            optimizer.zero_grad()
            objective(model, BATCH).backward()
            optimizer.step()
        with torch.no_grad(), heard(model) as seen:
            model(*BATCH.inputs)
        reached[weight] = float(attention_entropy(seen))
    assert reached[0.5] < reached[0.0] - 0.1 and reached[-0.5] > reached[0.0] + 0.05


def test_a_hierarchical_model_is_heard_at_both_levels() -> None:
    model = made("bilstm", hierarchical=True, words_beside=False)
    with heard(model) as seen:
        model(*tables(TEXTS))
    assert [one.name for one in seen] == ["word_summary.pooling", "sentence_summary.pooling"]
    assert 0 < float(attention_entropy(seen).detach()) < 1


def test_what_cannot_be_heard_is_refused() -> None:
    with pytest.raises(UsageError, match="packed batch has no maps"):
        Objective(TASK, recipe(attention_entropy=0.1), TARGETS)(made(), Batch(packed(TEXTS), TARGETS))
    with pytest.raises(UsageError, match=r'packed batch has none; set train.batches = "sorted"'):
        check_terms(recipe(attention_entropy=0.1, batches="packed"))
    with pytest.raises(UsageError, match=r"no places in common; set train.batches"):
        check_terms(recipe(mixup=0.1, batches="packed"))
    model = made(attention="talking-heads")
    with pytest.raises(UsageError, match="weights below zero"):
        Objective(TASK, recipe(attention_entropy=0.1), TARGETS)(model, BATCH)
    with heard(made()), pytest.raises(ValueError, match="tapped already"):
        inner = made()
        with heard(inner), heard(inner):
            pass


def test_batches_are_padded_where_a_term_needs_it() -> None:
    for field in ({"mixup": 0.2}, {"attention_entropy": 0.1}, {"attention_weight": 1.0}, {}):
        choices = Choices(recipe(max_tokens=512, encoder="transformer", hierarchical=False, **field))
        choose_batches(choices, 230)
        assert choices.recipe.train.batches == ("sorted" if field else "packed_sorted")


def test_mixup_mixes_words_and_losses_alike() -> None:
    model = made("ngrams", ngrams=0)
    ids, keep = collate([[5, 6], [7], [8, 9, 10]])
    targets = torch.tensor([0, 1, 2])
    x = model.get_parameter("embedding.rows.weight")[ids]
    torch.manual_seed(11)
    share = beta_share(0.4)
    order = torch.randperm(3)
    assert not torch.equal(order, torch.arange(3))
    z = share * x + (1 - share) * x[order]
    real = keep | keep[order]
    logits = model.head(model.summary(z, real))
    each = [float(nn.functional.cross_entropy(logits, one).detach()) for one in (targets, targets[order])]
    torch.manual_seed(11)
    found = mixed_loss(model, (ids, keep), 0.4, lambda logits, rows: TASK.loss(logits, targets[rows]))
    assert float(found.detach()) == pytest.approx(float(share) * each[0] + (1 - float(share)) * each[1])
    torch.manual_seed(11)
    whole = Objective(TASK, recipe(mixup=0.4), targets)(model, Batch((ids, keep), targets))
    assert torch.equal(whole, found)


def test_shares_of_mixup_are_beta_distributed_however_small_alpha_is() -> None:
    torch.manual_seed(0)
    for alpha in (1e-6, 0.2, 1.0, 8.0):
        drawn = torch.stack([beta_share(alpha) for _ in range(3000)]).double()
        assert float(drawn.mean()) == pytest.approx(0.5, abs=0.03)
        assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.08)


def test_mixup_reaches_n_grams_and_every_encoder() -> None:
    for kind, more in KINDS.items():
        model = made(kind)
        ids, keep = collate(TEXTS)
        torch.manual_seed(2)
        mixed_loss(model, (ids, keep), 1.0, lambda logits, rows: TASK.loss(logits, TARGETS[rows])).backward()
        grads = [parameter.grad for parameter in model.parameters() if parameter.requires_grad]
        assert all(grad is None or bool(grad.isfinite().all()) for grad in grads), (kind, more)
    model = made("ngrams")
    with torch.no_grad():
        model.get_parameter("ngrams.rows.weight")[1:].normal_()
    ids, keep = collate(TEXTS)
    given: list[torch.Tensor] = []
    model.get_submodule("summary").register_forward_pre_hook(lambda module, inputs: given.append(inputs[0].detach()))
    model(ids, keep)
    torch.manual_seed(5)
    share, order = beta_share(1.0), torch.randperm(5)
    torch.manual_seed(5)
    mixed_loss(model, (ids, keep), 1.0, lambda logits, rows: logits.sum())
    # An n-gram ends within its own text, also where the other text of the pair goes on.
    torch.testing.assert_close(given[1], share * given[0] + (1 - share) * given[0][order])


def test_mixup_of_label_sets_and_of_tables() -> None:
    task = MultiLabel(("a", "b", "c"))
    targets = torch.eye(3)[TARGETS]
    loss = Objective(task, recipe(mixup=0.5), targets)(made(), Batch(collate(TEXTS), targets))
    assert math.isfinite(float(loss.detach()))
    hierarchical = made("bilstm", hierarchical=True, words_beside=False)
    with pytest.raises(UsageError, match="reads tables"):
        Objective(TASK, recipe(mixup=0.5), TARGETS)(hierarchical, Batch(tables(TEXTS), TARGETS))


def test_the_default_objective_is_the_plain_loss_to_the_last_bit() -> None:
    model = made(dropout=0.3).float()
    torch.manual_seed(7)
    wanted = TASK.loss(model(*BATCH.inputs), TARGETS)
    torch.manual_seed(7)
    assert torch.equal(Objective(TASK, recipe(), TARGETS)(model, BATCH), wanted)


def test_stochastic_depth_passes_texts_by_and_keeps_the_mean() -> None:
    depth = StochasticDepth(0.25)
    x, after = torch.zeros(4000, 2, 3), torch.ones(4000, 2, 3)
    torch.manual_seed(0)
    found = depth(x, after, torch.ones(4000, 2, dtype=torch.bool))
    assert found.unique().tolist() == [0.0, pytest.approx(4 / 3)]
    assert float(found.mean()) == pytest.approx(1, abs=0.05)
    assert torch.equal(found, found[:, :1, :1].expand_as(found))
    assert torch.equal(depth.eval()(x, after, x[..., 0] == 0), after)
    ids, pieces = packed([[5, 6, 7]] * 5)
    moved = depth.train()(torch.zeros(1, ids.shape[1], 2), torch.ones(1, ids.shape[1], 2), pieces)[0, :15, 0].view(5, 3)
    assert torch.equal(moved, moved[:, :1].expand_as(moved))


def settings(**values: Any) -> ModelSettings:
    usual = {
        "embedding_width": 6, "width": 8, "hierarchical": False, "beside": [], "ngrams": 0, "words_beside": False,
        "word_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.3, "heads": 2, "layers": 4,
    }  # fmt: skip
    return ModelSettings.model_validate({**usual, **values})


@pytest.mark.parametrize("encoder", ["transformer", "bert"])
def test_dropouts_of_layers_and_of_attention_weights(encoder: str) -> None:
    same = build_model(settings(encoder=encoder), 40, 3).encoder
    own = build_model(settings(encoder=encoder, attention_dropout=0.1, layer_dropout=0.4), 40, 3).encoder
    assert isinstance(same, TransformerEncoder | BertEncoder) and isinstance(own, TransformerEncoder | BertEncoder)
    for layers, dropped in ((same.layers, 0.3), (own.layers, 0.1)):
        assert [layer.attention.dropout for layer in layers] == [dropped] * 4
    assert [layer.depth.rate for layer in same.layers] == [0] * 4
    assert [layer.depth.rate for layer in own.layers] == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_dropouts_of_layers_are_refused_where_there_are_none(tmp_path: Path) -> None:
    for name in ("attention_dropout", "layer_dropout"):
        with pytest.raises(ValueError, match=f"{name} is for the layers of a transformer or bert.*cnn"):
            build_model(settings(encoder="cnn", **{name: 0.1}), 40, 3)
    with pytest.raises(UsageError, match="layer_dropout is for the layers"):
        train(small_data(tmp_path), out=tmp_path / "run", **{**SMALL, "encoder": "cnn", "layer_dropout": 0.1})
    assert not list(tmp_path.glob("run*"))


def test_layers_that_are_passed_by_train_as_ever() -> None:
    torch.manual_seed(0)
    model = build_model(settings(encoder="transformer", layers=2, dropout=0.0, layer_dropout=0.5), 40, 3)
    task, optimizer = SingleLabel(("a", "b", "c")), torch.optim.Adam(model.parameters(), lr=0.02)
    first = None
    for _ in range(60):
        optimizer.zero_grad()
        loss = task.loss(model(*BATCH.inputs), TARGETS)
        loss.backward()
        optimizer.step()
        first = first or float(loss.detach())
    assert float(task.loss(model.eval()(*BATCH.inputs), TARGETS).detach()) < 0.2 * first
