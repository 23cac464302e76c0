"""Adversarial training: every inner gradient, direction, divergence and outer gradient against finite differences."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnkit.data.batches import collate, pack
from attnkit.errors import UsageError
from attnkit.kernels.packed import Pieces
from attnkit.model.build import build_model
from attnkit.model.settings import ModelSettings
from attnkit.run.recipe import Recipe
from attnkit.task.base import Task
from attnkit.task.multi_label import MultiLabel
from attnkit.task.score import Score
from attnkit.task.single_label import SingleLabel
from attnkit.train import train
from attnkit.train.adversarial import METHODS, vat
from attnkit.train.adversarial.words import Words, ascent
from attnkit.train.objective import Batch, Objective
from attnkit.train.terms.check import check_terms
from attnkit.train.terms.divergence import divergence
from attnkit.train.unlabeled import Unlabeled
from tests.train.small import SMALL, small_data
from tests.train.test_resume import Crash, assert_same_end, stop_at

TEXTS = [[5, 6, 7, 8, 9], [12], [13, 14, 15], [16, 17, 18], [19, 20]]
TARGETS = torch.tensor([0, 1, 2, 1, 0])
TASK = SingleLabel(("a", "b", "c"))
KINDS: dict[str, dict[str, Any]] = {
    "transformer": {"encoder": "transformer", "layers": 2, "heads": 2},
    "bilstm": {"encoder": "bilstm", "words_beside": True},
    "ngrams": {"encoder": "none", "ngrams": 2, "ngram_buckets": 64},
}


def made(kind: str = "transformer", dropout: float = 0.0, outputs: int = 3, **more: Any) -> nn.Module:
    usual = {
        "embedding_width": 6, "width": 8, "hierarchical": False, "beside": ["mean"], "ngrams": 0, "words_beside": False,
        "word_dropout": dropout, "embedding_dropout": dropout, "dropout": dropout,
    }  # fmt: skip
    torch.manual_seed(0)
    model = build_model(ModelSettings.model_validate({**usual, **KINDS[kind], **more}), 40, outputs).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "embedding" not in name:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model.train()


def packed(texts: list[list[int]]) -> tuple[Tensor, Pieces]:
    ids_1N, lengths = pack(texts)
    return ids_1N, Pieces(lengths, ids_1N.shape[1] - sum(lengths))


def tables(texts: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Each text as two sentences, the second of which may be empty."""
    ids = torch.zeros(len(texts), 2, 4, dtype=torch.int64)
    for row, text in enumerate(texts):
        for number, part in enumerate((text[:3], text[3:])):
            ids[row, number, : len(part)] = torch.tensor(part, dtype=torch.int64)
    return ids, ids > 0


def recipe(**values: Any) -> Recipe:
    return Recipe().with_values(values)


def loss_of(words: Words, shift: Tensor) -> Tensor:
    return TASK.loss(words.answer(shift), TARGETS)


def slope(f: Callable[[float], float], step: float = 1e-5) -> float:
    return (f(step) - f(-step)) / (2 * step)


GATHERS: dict[str, tuple[dict[str, Any], Callable[[list[list[int]]], Any]]] = {
    "padded": ({}, collate),
    "packed": ({}, packed),
    "bilstm": ({"kind": "bilstm"}, collate),
    "ngrams": ({"kind": "ngrams"}, collate),
    "sentences": ({"kind": "bilstm", "hierarchical": True, "words_beside": False}, tables),
}


@pytest.mark.parametrize(("kind", "gather"), GATHERS.values(), ids=GATHERS)
def test_the_inner_gradient_is_that_of_finite_differences(kind: dict[str, Any], gather: Any) -> None:
    words = Words(made(**kind), gather(TEXTS))
    start = words.normal() * 0.1
    g = ascent(loss_of(words, start.requires_grad_()), start)
    for seed in range(5):
        torch.manual_seed(seed)
        way = torch.randn_like(start)
        found = slope(lambda step, way=way: float(loss_of(words, start.detach() + step * way).detach()))
        assert found == pytest.approx(float((g * way).sum()), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("kind", "gather"), GATHERS.values(), ids=GATHERS)
def test_padding_is_not_moved_and_norms_are_over_a_text(kind: dict[str, Any], gather: Any) -> None:
    words = Words(made(**kind), gather(TEXTS))
    far = torch.full_like(words.zeros(), 1e3)
    moves = words.normal() != 0
    assert int(moves[..., 0].sum()) == sum(map(len, TEXTS))
    assert torch.equal(words.answer(far * ~moves), words.answer(words.zeros()))
    unit = words.scaled(words.normal(), 2.5)
    torch.testing.assert_close(words.norms(unit), torch.full((5,), 2.5, dtype=torch.float64))
    long = words.within(unit, 1.0)
    torch.testing.assert_close(long, unit / 2.5)
    torch.testing.assert_close(words.within(unit, 9.0), unit)
    assert not words.scaled(words.zeros(), 1.0).any()


def test_what_stands_behind_a_text_stays_where_it_is() -> None:
    """Models are blind to padding, so that their answers would not tell: what the encoder is given does."""
    model, given = made(), []
    model.get_submodule("encoder").register_forward_pre_hook(lambda module, inputs: given.append(inputs[0].detach()))
    for gather in (collate, packed):
        ids, _ = inputs = gather([*TEXTS, [7] * 51])
        words = Words(model, inputs)
        for shift in (words.zeros(), torch.ones_like(words.zeros())):
            words.answer(shift)
        assert bool((ids == 0).any())
        assert torch.equal(given[-1] != given[-2], (ids > 0).unsqueeze(-1).expand_as(given[-1]))


def test_a_text_is_moved_as_it_would_be_alone() -> None:
    model = made()
    for gather in (collate, packed):
        words = Words(model, gather(TEXTS))
        start = words.zeros().requires_grad_()
        together = words.scaled(ascent(loss_of(words, start), start), 0.7)
        flat = together.reshape(-1, 6)[(words._moves).flatten()]
        alone = []
        for text, target in zip(TEXTS, TARGETS, strict=True):
            one = Words(model, gather([text]))
            zero = one.zeros().requires_grad_()
            g = ascent(TASK.loss(one.answer(zero), target[None]), zero)
            alone.append(one.scaled(g, 0.7).reshape(-1, 6)[: len(text)])
        torch.testing.assert_close(flat, torch.cat(alone), rtol=1e-9, atol=1e-9)


def test_gradients_too_small_to_be_squared_still_have_a_direction() -> None:
    words = Words(made().float(), collate(TEXTS))
    tiny = words.normal() * 1e-30
    torch.testing.assert_close(words.norms(words.scaled(tiny, 1.0)), torch.ones(5, dtype=torch.float64))


def test_fgm_goes_where_the_loss_rises_fastest() -> None:
    words = Words(made(), collate(TEXTS))
    start = words.zeros().requires_grad_()
    plain = loss_of(words, start)
    g = ascent(plain, start, keep=True)
    radius = 1e-4
    settings = recipe(adversarial="fgm", adversarial_radius=radius).regularize
    raised = float(
        METHODS["fgm"](words, start, plain, lambda z: TASK.loss(z, TARGETS), settings).detach() - plain.detach()
    )
    # To first order the loss rises by the radius times the norm of each text's gradient.
    assert raised == pytest.approx(radius * float(words.norms(g).sum()), rel=1e-3)
    for seed in range(10):
        torch.manual_seed(seed)
        other = float(loss_of(words, words.scaled(words.normal(), radius)).detach() - plain.detach())
        assert other < raised


def test_pgd_raises_the_loss_more_and_stays_within_its_ball(monkeypatch: pytest.MonkeyPatch) -> None:
    words, asked = Words(made(), collate(TEXTS)), []
    answer = Words.answer
    monkeypatch.setattr(Words, "answer", lambda self, shift: (asked.append(shift.detach()), answer(self, shift))[1])
    start = words.zeros().requires_grad_()
    plain = loss_of(words, start)
    found = {}
    for method, more in {
        "fgm": {}, "pgd": {"adversarial_steps": 8, "adversarial_step": 0.4}, "once": {"adversarial_steps": 1},
    }.items():  # fmt: skip
        settings = recipe(adversarial="pgd", adversarial_radius=1.0, **{"adversarial_step": 1.0, **more}).regularize
        name = "fgm" if method == "fgm" else "pgd"
        asked.clear()
        found[method] = float(METHODS[name](words, start, plain, lambda z: TASK.loss(z, TARGETS), settings).detach())
        assert all(bool((words.norms(shift) <= 1 + 1e-9).all()) for shift in asked)
        if method == "pgd":
            first, second = asked[0], asked[1]
            torch.testing.assert_close(words.norms(first), torch.full((5,), 0.4, dtype=torch.float64))
            torch.testing.assert_close(words.norms(second - first), torch.full((5,), 0.4, dtype=torch.float64))
            assert len(asked) == 8
    assert float(plain.detach()) < found["fgm"] == found["once"] < found["pgd"]


def test_freelb_begins_at_random_and_means_over_its_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    words, asked = Words(made(), collate(TEXTS)), []
    answer = Words.answer
    monkeypatch.setattr(Words, "answer", lambda self, shift: (asked.append(shift.detach()), answer(self, shift))[1])
    settings = recipe(adversarial="freelb", adversarial_radius=0.5, adversarial_step=0.2).regularize
    start = words.zeros().requires_grad_()
    plain = loss_of(words, start)
    asked.clear()
    found = METHODS["freelb"](words, start, plain, lambda z: TASK.loss(z, TARGETS), settings)
    entries = torch.tensor([[len(text)] for text in TEXTS]) * 6.0
    assert len(asked) == 3 and asked[0].abs().amax((1, 2)).sub(0.5 / entries[:, 0].sqrt()).max() <= 0
    assert 0.3 < float(asked[0][0].abs().mean() / (0.5 / 30**0.5)) < 0.7
    losses = [float(loss_of(words, shift).detach()) for shift in list(asked)]
    assert float(found.detach()) == pytest.approx(sum(losses) / 3) and losses == sorted(losses)


def shifts_of(model: nn.Module, objective: Objective, batch: Batch, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The shifts, and which words were moved by them, of one value of the objective; the gradients are left."""
    asked: list[Any] = []
    answer = Words.answer
    with monkeypatch.context() as patch:
        patch.setattr(Words, "answer", lambda self, r: (asked.append((self, r.detach())), answer(self, r))[1])
        torch.manual_seed(3)
        loss = objective(model, batch)
        assert all(parameter.grad is None for parameter in model.parameters())
        loss.backward()
    return asked


@pytest.mark.parametrize("gather", [collate, packed], ids=["padded", "packed"])
@pytest.mark.parametrize("method", ["fgm", "pgd", "freelb", "vat"])
def test_the_outer_gradient_is_that_of_finite_differences(
    method: str, gather: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the moves held fast, as they are to the outer gradient; dropout is on, and its masks must be the same."""
    model, weight = made(dropout=0.2, layers=1), 0.7
    batch = Batch(gather(TEXTS), TARGETS)
    objective = Objective(TASK, recipe(adversarial=method, adversarial_weight=weight), TARGETS)
    asked = shifts_of(model, objective, batch, monkeypatch)
    held = {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.grad is not None}
    words = asked[0][0]
    with torch.no_grad():
        reference = words.answer(words.zeros())
    used = {"fgm": asked[1:], "pgd": asked[-1:], "freelb": asked[1:], "vat": asked[-1:]}[method]

    def value() -> float:
        with torch.no_grad():
            if method == "vat":
                against = divergence(TASK, reference, words.answer(used[0][1]))
            else:
                against = torch.stack([loss_of(words, shift) for _, shift in used]).mean()
            return float(loss_of(words, words.zeros()) + weight * against)

    moved = 0
    for name, parameter in model.named_parameters():
        if name not in held or not held[name].any():
            continue
        torch.manual_seed(4)
        way = torch.randn_like(parameter)
        before = parameter.detach().clone()

        def at(step: float, parameter: Tensor = parameter, before: Tensor = before, way: Tensor = way) -> float:
            with torch.no_grad():
                parameter.copy_(before + step * way)
                if parameter is model.get_parameter("embedding.rows.weight"):
                    parameter[0] = 0
            return value()

        found = slope(at)
        at(0.0)
        wanted = float((held[name] * way).sum())
        assert found == pytest.approx(wanted, rel=1e-5, abs=1e-8), name
        moved += 1
    assert moved > 10


@pytest.mark.parametrize("task", [TASK, MultiLabel(("a", "b", "c")), Score()], ids=["single", "multi", "score"])
def test_the_direction_of_vat_is_the_first_eigenvector_of_the_divergence(task: Task) -> None:
    model = made("ngrams", outputs=task.outputs, embedding_width=3, ngrams=0)
    words = Words(model, collate([[5, 6]]))
    reference = words.answer(words.zeros()).detach()
    n, step = 6, 1e-3

    def away(flat: Tensor) -> float:
        return float(divergence(task, reference, words.answer(flat.view(1, 2, 3))).detach())

    basis = torch.eye(n, dtype=torch.float64) * step
    hessian = torch.empty(n, n, dtype=torch.float64)
    for i in range(n):
        for j in range(n):
            pairs = [(1, 1), (1, -1), (-1, 1), (-1, -1)]
            values = [s * t * away(s * basis[i] + t * basis[j]) for s, t in pairs]
            hessian[i, j] = sum(values) / (4 * step**2)
    assert away(torch.zeros(n, dtype=torch.float64)) == pytest.approx(0, abs=1e-12)
    first = torch.linalg.eigh(hessian).eigenvectors[:, -1]
    asked: list[Tensor] = []
    answer = words.answer
    words.answer = lambda shift: (asked.append(shift.detach()), answer(shift))[1]  # type: ignore[method-assign]
    settings = recipe(adversarial="vat", adversarial_radius=0.01, adversarial_steps=15).regularize
    vat.loss_of(words, reference, task, settings)
    found = asked[-1].flatten() / 0.01
    assert abs(float(found @ first)) > 0.999


def test_vat_asks_for_no_label_and_learns_from_texts_without_any() -> None:
    model = made()
    items = [[21, 22, 23], [24], [25, 26]]
    unlabeled = Unlabeled(items, collate)
    drawn = unlabeled.draw(64)[0]
    assert drawn.shape[0] == 64 and {tuple(row[row > 0].tolist()) for row in drawn} == {tuple(ids) for ids in items}
    values = recipe(adversarial="vat", adversarial_weight=2.0)
    values_of = {}
    for name, others in {"alone": None, "with": unlabeled}.items():
        for targets in (TARGETS, TARGETS.flip(0)):
            torch.manual_seed(5)
            objective = Objective(TASK, values, TARGETS, unlabeled=others)
            with torch.no_grad():
                plain = float(TASK.loss(model(*collate(TEXTS)), targets))
            torch.manual_seed(5)
            loss = objective(model, Batch(collate(TEXTS), targets))
            values_of.setdefault(name, []).append(float(loss.detach()) - plain)
            model.zero_grad()
            loss.backward()
            grads = model.get_parameter("embedding.rows.weight").grad
            assert grads is not None and bool(grads[21:27].any()) == (others is not None)
    for found in values_of.values():
        assert found[0] == pytest.approx(found[1], abs=1e-12) and found[0] > 0
    assert values_of["alone"][0] != pytest.approx(values_of["with"][0])


def test_all_answers_have_one_set_of_masks_and_the_generator_goes_on_as_after_one_pass() -> None:
    model = made(dropout=0.5)
    torch.manual_seed(1)
    model(*collate(TEXTS))
    after = torch.get_rng_state()
    torch.manual_seed(1)
    words = Words(model, collate(TEXTS))
    first = words.answer(words.zeros())
    assert torch.equal(torch.get_rng_state(), after)
    torch.rand(7)
    drawn = torch.get_rng_state()
    assert torch.equal(words.answer(words.zeros()), first) and torch.equal(torch.get_rng_state(), drawn)
    assert not torch.equal(Words(model, collate(TEXTS)).answer(words.zeros()), first)


def test_a_resumed_run_is_bit_equal(tmp_path: Path) -> None:
    source = small_data(tmp_path)
    (tmp_path / "more.txt").write_text("a dull plot\nso warm and good\n\nthe film was\n")
    settings = {
        **SMALL, "encoder": "cnn", "adversarial": "vat", "unlabeled": str(tmp_path / "more.txt"), "augment": 0.5,
        "swap": 0.3, "typos": 0.2, "checkpoint_every_steps": 2,
    }  # fmt: skip
    train(source, out=tmp_path / "whole", **settings)
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", resume=True, progress=stop_at(11), **settings)
    torch.manual_seed(9)
    train(source, out=tmp_path / "run", resume=True, **settings)
    assert_same_end(tmp_path / "run", tmp_path / "whole")


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"adversarial": "fgm", "adversarial_step": 0.1}, "adversarial_step is read by adversarial = pgd, freelb"),
        ({"adversarial_radius": 2.0}, "adversarial is none"),
        ({"unlabeled": "x.txt"}, "unlabeled is read by adversarial = vat"),
        ({"adversarial": "pgd", "mixup": 0.2}, "regularize.mixup mixes them"),
    ],
)
def test_what_nothing_reads_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_terms(recipe(**values))


def test_a_run_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    source = small_data(tmp_path)
    for values, said in (
        ({"adversarial": "vat", "unlabeled": str(tmp_path / "none.txt")}, "no file .*none.txt"),
        ({"adversarial": "vat", "adversarial_step": 0.2}, "adversarial_step is read by"),
    ):
        with pytest.raises(UsageError, match=said):
            train(source, out=tmp_path / "run", **{**SMALL, **values})
    assert not list(tmp_path.glob("run*"))
