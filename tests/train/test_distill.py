"""Distillation: divergences against their formulas, lessons in the student's words, and students that stand alone."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.data.batches import collate
from attnkit.data.examples import Example
from attnkit.data.tokens import fit
from attnkit.errors import UsageError
from attnkit.run.log import read_log
from attnkit.run.record import file_sha256, read_record, write_record
from attnkit.task.base import Task
from attnkit.task.multi_label import MultiLabel
from attnkit.task.score import Score
from attnkit.task.single_label import SingleLabel
from attnkit.train import load, train
from attnkit.train.lessons import Lessons, Looks
from attnkit.train.looks import looks
from attnkit.train.objective import Batch, Objective
from attnkit.train.preprocessing import Preprocessing
from attnkit.train.teacher import _as_ours
from attnkit.train.terms.check import check_terms
from attnkit.train.terms.divergence import divergence
from attnkit.train.terms.hearing import heard
from attnkit.train.terms.imitation import (
    attach_imitation,
    attention_distance,
    hidden_distance,
    own_weights,
    summarized,
)
from tests.train.small import SMALL, sentences, small_data, write_csv
from tests.train.test_adversarial import TARGETS, TASK, TEXTS, made, recipe, slope
from tests.train.test_resume import Crash, assert_same_end, stop_at

STUDENT = {**SMALL, "encoder": "cnn", "epochs": 2}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on the same rows, with another encoder and other widths."""
    folder = tmp_path_factory.mktemp("teacher")
    train(small_data(folder, 120), out=folder / "run", **{**SMALL, "encoder": "none", "width": 12, "epochs": 4})
    return folder / "run"


def softmax(row: list[float], temperature: float) -> list[float]:
    powers = [math.exp(x / temperature) for x in row]
    return [x / sum(powers) for x in powers]


def test_divergence_of_classes_against_its_formula() -> None:
    said, own = [[1.0, -2.0, 0.5], [0.0, 3.0, 1.0]], [[0.2, 0.1, 0.0], [1.0, -1.0, 2.0]]
    total = 0.0
    for p_row, q_row in zip(said, own, strict=True):
        p, q = softmax(p_row, 3.0), softmax(q_row, 3.0)
        total += 9.0 * sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))
    assert float(divergence(TASK, torch.tensor(said), torch.tensor(own), 3.0)) == pytest.approx(total / 2, rel=1e-5)
    assert float(divergence(TASK, torch.tensor(said), torch.tensor(said), 3.0)) == pytest.approx(0, abs=1e-6)


def test_divergence_of_label_sets_and_scores_against_their_formulas() -> None:
    said, own = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.2, 0.4]])
    total = 0.0
    for a, b in zip(said[0].tolist(), own[0].tolist(), strict=True):
        p, q = 1 / (1 + math.exp(-a / 2)), 1 / (1 + math.exp(-b / 2))
        total += 4 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    assert float(divergence(MultiLabel(("a", "b")), said, own, 2.0)) == pytest.approx(total / 2, rel=1e-5)
    scores = divergence(Score(), torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [4.0]]), 5.0)
    assert float(scores) == pytest.approx((1 + 4) / 2 / 2)


@pytest.mark.parametrize("task", [TASK, MultiLabel(("a", "b", "c"))], ids=["single", "multi"])
def test_divergences_stay_finite_where_one_side_is_sure(task: Task) -> None:
    sure, own = torch.tensor([[300.0, -300.0, 0.0]]), torch.tensor([[-300.0, 300.0, 0.0]], requires_grad=True)
    found = divergence(task, sure, own)
    found.backward()
    assert bool(found.isfinite()) and own.grad is not None and bool(own.grad.isfinite().all())


def test_logits_are_put_into_the_students_classes_and_units() -> None:
    theirs, ours = SingleLabel(("b", "a", "c")), SingleLabel(("a", "b", "c"))
    assert _as_ours(torch.tensor([[1.0, 2.0, 3.0]]), theirs, ours).tolist() == [[2.0, 1.0, 3.0]]
    found = _as_ours(torch.tensor([[2.0]]), Score(10.0, 3.0), Score(4.0, 6.0))
    assert float(found) == pytest.approx((2 * 3 + 10 - 4) / 6)


def test_the_loss_is_shared_between_labels_and_teacher() -> None:
    model, said = made(), torch.randn(9, 3, dtype=torch.float64)
    numbers = (4, 0, 8, 2, 7)
    batch = Batch(collate(TEXTS), TARGETS, numbers)
    values = recipe(distill_weight=0.3, temperature=4.0)
    found = Objective(TASK, values, TARGETS, Lessons(said))(model, batch)
    logits = model(*batch.inputs)
    wanted = 0.7 * TASK.loss(logits, TARGETS) + 0.3 * divergence(TASK, said[list(numbers)], logits, 4.0)
    assert float((found - wanted).detach()) == pytest.approx(0, abs=1e-12)
    torch.manual_seed(3)
    mixed = Objective(TASK, recipe(distill_weight=1.0, mixup=0.5), TARGETS, Lessons(said))(model, batch)
    assert bool(mixed.isfinite())


def test_the_distance_of_summaries_against_its_formula_and_finite_differences() -> None:
    model, numbers = made(), [3, 1, 4, 0, 2]
    torch.manual_seed(1)
    attach_imitation(model, 5)
    model.double()
    lessons = Lessons(torch.zeros(5, 3), summaries=torch.randn(5, 5, dtype=torch.float64))
    with summarized(model) as found:
        model(*collate(TEXTS))
    distance = hidden_distance(model, found, lessons, numbers)
    W = model.get_parameter("head.imitation.weight")
    total = 0.0
    for row, number in enumerate(numbers):
        s, t = W @ found[0][row], lessons.summaries[number]  # type: ignore[index]
        total += float((s / s.norm() - t / t.norm()).square().sum().detach())
    assert float(distance.detach()) == pytest.approx(total / 5)
    distance.backward()
    for parameter in (W, model.get_parameter("encoder.layers.0.attention.value.weight")):
        assert parameter.grad is not None
        way, before = torch.randn_like(parameter), parameter.detach().clone()

        def at(step: float, parameter: Any = parameter, before: Any = before, way: Any = way) -> float:
            with torch.no_grad():
                parameter.copy_(before + step * way)
                with summarized(model) as seen:
                    model(*collate(TEXTS))
                return float(hidden_distance(model, seen, lessons, numbers))

        assert slope(at) == pytest.approx(float((parameter.grad * way).sum()), rel=1e-5, abs=1e-9)
        at(0.0)
    assert set(own_weights(model.state_dict())) == set(made().state_dict())


def test_the_distance_of_attention_against_its_formula_and_finite_differences() -> None:
    model = made()
    with heard(model) as seen:
        model(*collate(TEXTS))
    weights = seen[-1].matrix().mean((1, 2)).detach()
    same = [Looks(weights[row, : len(text)], torch.arange(len(text))) for row, text in enumerate(TEXTS)]
    rows = list(range(5))
    zero = attention_distance(seen, Lessons(torch.zeros(5, 3), looks=same), rows)
    assert float(zero.detach()) == pytest.approx(0, abs=1e-9)
    # Two tokens of the first text are one word of the teacher's, and its last stands in none.
    owner = torch.tensor([0, 0, 1, 2, 3])
    said = torch.tensor([0.5, 0.2, 0.1], dtype=torch.float64)
    lessons = Lessons(torch.zeros(5, 3), looks=[Looks(said, owner), *same[1:]])
    found = attention_distance(seen, lessons, rows)
    own = torch.tensor([weights[0, 0] + weights[0, 1], weights[0, 2], weights[0, 3]])
    p, q = (said / said.sum()).tolist(), (own / own.sum()).tolist()
    wanted = sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)) / 5
    assert float(found.detach()) == pytest.approx(wanted, rel=1e-6)
    model.zero_grad()
    found.backward()
    parameter = model.get_parameter("summary.pooling.queries")
    assert parameter.grad is not None
    way, before = torch.randn_like(parameter), parameter.detach().clone()

    def at(step: float) -> float:
        with torch.no_grad(), heard(model) as again:
            parameter.copy_(before + step * way)
            model(*collate(TEXTS))
            return float(attention_distance(again, lessons, rows))

    assert slope(at) == pytest.approx(float((parameter.grad * way).sum()), rel=1e-5, abs=1e-9)


def test_looks_are_brought_to_words_where_tokens_differ() -> None:
    text = "a  good-ish film, really"
    chars = Preprocessing(fit("chars", [text], min_count=1), 100)
    words = Preprocessing(fit("word", [text], min_count=1), 100)
    example = [Example(text, None, "x", "f", 1)]
    theirs, ours = chars.encode([text]), words.encode([text])
    look = looks(example, chars, theirs, words, ours, [torch.arange(1.0, len(theirs[0]) + 1)], "t")[0]
    shown = words.tokenizer.tokens(ours[0])  # type: ignore[arg-type]
    assert shown == ["a", "good", "-", "ish", "film", ",", "really"]
    assert look.owner.tolist() == [0, 1, 1, 1, 2, 2, 3]
    # One character a token, one space between words: 1 | 3..10 | 12..16 | 18..23, spaces count for nothing.
    assert look.weights.tolist() == [1, sum(range(3, 11)), sum(range(12, 17)), sum(range(18, 24))]
    short = Preprocessing(words.tokenizer, 4)
    cut = looks(example, chars, theirs, short, short.encode([text]), [torch.ones(len(theirs[0]))], "t")[0]
    assert cut.weights.tolist() == [1, 8, 0, 0] and cut.owner.tolist() == [0, 1, 1, 1]
    same = looks(example, words, ours, words, ours, [torch.ones(7)], "t")[0]
    assert same.owner.tolist() == list(range(7)) and same.weights.tolist() == [1] * 7
    merged = Preprocessing(fit("bpe", [text] * 5, vocabulary_size=400, min_count=2), 100)
    ends = [end for _, end in merged.tokenizer.offsets(text)]
    assert any(text[start] == " " != text[end - 1] for start, end in merged.tokenizer.offsets(text))
    whole = looks(example, words, ours, merged, merged.encode([text]), [torch.ones(7)], "t")[0]
    assert whole.owner.tolist() == [4 if text[end - 1] == " " else len(text[:end].split()) - 1 for end in ends]
    assert float(whole.weights.sum()) == 7
    pair = [Example(text, "b", "x", "f", 1)]
    with pytest.raises(UsageError, match="cuts pairs of texts into other tokens"):
        looks(pair, chars, theirs, words, ours, [torch.ones(len(theirs[0]))], "t")


def test_a_student_comes_near_its_teacher_and_stands_alone(teacher: Path, tmp_path: Path) -> None:
    source = teacher.parent / "data.csv"
    settings = {**STUDENT, "epochs": 12, "teacher": str(teacher), "distill_weight": 1.0}
    whole = {"hidden_weight": 1.0, "attention_weight": 1.0, "tokenizer": "chars", "epochs": 1}
    texts = [text for text, _ in sentences(120)]
    said = load(teacher).logits(texts).softmax(-1)
    away = {}
    for name, values in {"taught": settings, "whole": {**settings, **whole}}.items():
        run = train(source, out=tmp_path / name, **values)
        own = load(run).logits(texts).softmax(-1)
        away[name] = float((own - said).abs().mean())
        assert "imitation" not in (run.path / "model" / "model.json").read_text("utf-8")
        record = read_record(run.path / "teacher")["teachers"]
        assert record == [
            {"path": str(teacher), "weights_sha256": file_sha256(teacher / "model" / "weights.safetensors")}
        ]
        assert run.recipe.distill.teacher == (str(teacher),)
    untaught = load(train(source, out=tmp_path / "first", **{**STUDENT, "epochs": 1, "learning_rate": 1e-6}))
    assert away["taught"] < 0.6 * float((untaught.logits(texts).softmax(-1) - said).abs().mean())


def test_several_teachers_speak_as_the_mean_of_their_logits(teacher: Path, tmp_path: Path) -> None:
    source = teacher.parent / "data.csv"
    once = train(source, out=tmp_path / "once", **STUDENT, teacher=str(teacher))
    twice = train(source, out=tmp_path / "twice", **STUDENT, teacher=[str(teacher), str(teacher)])
    texts = [text for text, _ in sentences(10)]
    assert torch.equal(load(once).logits(texts), load(twice).logits(texts))
    assert len(read_record(twice.path / "teacher")["teachers"]) == 2
    with pytest.raises(UsageError, match="2 teachers have no summary"):
        train(source, out=tmp_path / "no", **STUDENT, teacher=[str(teacher)] * 2, hidden_weight=1.0)


def test_a_resumed_student_is_bit_equal(teacher: Path, tmp_path: Path) -> None:
    source = teacher.parent / "data.csv"
    settings = {
        **STUDENT, "teacher": str(teacher), "hidden_weight": 0.5, "attention_weight": 0.5, "checkpoint_every_steps": 2,
    }  # fmt: skip
    train(source, out=tmp_path / "whole", **settings)
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", resume=True, progress=stop_at(7), **settings)
    record = tmp_path / "run.partial" / "teacher"
    true = record.read_text("utf-8")
    write_record(record, {"teachers": [{**read_record(record)["teachers"][0], "weights_sha256": "0" * 64}]})
    with pytest.raises(UsageError, match="changed since the run was begun"):
        train(source, out=tmp_path / "run", resume=True, **settings)
    record.write_text(true, "utf-8")
    torch.manual_seed(9)
    train(source, out=tmp_path / "run", resume=True, **settings)
    assert_same_end(tmp_path / "run", tmp_path / "whole")


def test_a_teacher_that_does_not_fit_is_refused(teacher: Path, tmp_path: Path) -> None:
    rows = sentences(60)
    others = write_csv(tmp_path / "others.csv", [(text, {"pos": "good", "neg": "bad"}[label]) for text, label in rows])
    pairs = write_csv(tmp_path / "pairs.csv", [(t, t, label) for t, label in rows], ("text", "text2", "label"))
    scores = write_csv(tmp_path / "scores.csv", [(text, f"{number / 7}") for number, (text, _) in enumerate(rows)])
    for source, more, said in (
        (others, {}, "has other classes: 'bad' is only among this run's"),
        (pairs, {"text": ["text", "text2"]}, "reads single texts and this run does not"),
        (scores, {"kind": "score"}, "predicts labels of kind 'single', this run 'score'"),
        (teacher.parent / "data.csv", {"teacher": str(tmp_path / "none")}, "there is no run at"),
        (teacher.parent / "data.csv", {"attention_weight": 1.0, "hierarchical": True}, "have no one row of attention"),
    ):
        with pytest.raises(UsageError, match=said):
            train(source, out=tmp_path / "run", **{**STUDENT, "teacher": str(teacher), **more})
        assert not list(tmp_path.glob("run*"))


def test_a_teacher_that_saw_the_held_out_rows_is_told_of(teacher: Path, tmp_path: Path) -> None:
    source = teacher.parent / "data.csv"
    for seed, told in ((0, False), (1, True)):
        run = train(
            source, out=tmp_path / f"run{seed}", **{**STUDENT, "epochs": 1}, teacher=str(teacher), split_seed=seed
        )
        warned = [line["sentence"] for line in read_log(run.path / "log.jsonl") if line["event"] == "finding"]
        assert any("was trained on" in sentence and "test rows" in sentence for sentence in warned) == told


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"teacher": "x", "distill_weight": 0.0}, "nothing of it is imitated"),
        ({"teacher": "x", "language": "masked"}, "predicts words"),
        ({"mixup": 0.2, "language": "masked"}, "regularize.mixup is about"),
        ({"adversarial": "vat", "language": "causal"}, "vat is about"),
        ({"temperature": 3.0}, "distill.temperature is given and there is no teacher"),
        ({"teacher": "x", "hidden_weight": 1.0, "mixup": 0.2}, "regularize.mixup mixes them"),
        ({"teacher": "x", "attention_weight": 1.0, "augment": 0.1, "swap": 0.1}, "augment.augment alters it"),
        ({"teacher": "x", "attention_weight": 1.0, "batches": "packed"}, "reads maps of attention"),
        ({"teacher": "x", "hidden_weight": 1.0, "sharded": True}, "train.sharded leaves in parts"),
    ],
)
def test_what_cannot_stand_together_is_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_terms(recipe(**values))


def test_teachers_are_named_as_one_word_or_several() -> None:
    assert recipe(teacher="runs/a").distill.teacher == ("runs/a",)
    assert recipe(teacher=["runs/a", "runs/b"]).distill.teacher == ("runs/a", "runs/b")
    assert recipe(teacher="").distill.teacher == ()
