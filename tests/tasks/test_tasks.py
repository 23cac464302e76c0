"""Tasks: targets, losses by their printed formula, predictions row by row, and plain data there and back."""

import json
import math

import numpy as np
import pytest
import torch

from attnkit.data.examples import Example
from attnkit.data.schema import Schema
from attnkit.errors import FailedError, UsageError
from attnkit.task import MultiLabel, Score, Selection, SingleLabel, Task, task_for, task_from_dict
from tests.tasks import plain

ABC = ("a", "b", "c")
TASKS: list[Task] = [SingleLabel(ABC), MultiLabel(ABC), Score(10.0, 2.0)]
NAMES = [task.kind for task in TASKS]


def example(label: object, line: int = 7) -> Example:
    return Example("some text", None, label, "train.csv", line)  # type: ignore[arg-type]


def labels_for(task: Task) -> list[object]:
    return {
        "single": ["a", "b", "c", "a", "b", "c", "b", "a"],
        "multi": [("a",), (), ("b", "c"), ("a", "b", "c"), ("c",), ("b",), ("a", "c"), ("b",)],
        "score": [10.0, 12, 14.5, 8.0, 9.0, 13.0, 7.5, 11.0],
    }[task.kind]


def schema(kind: str, classes: tuple[str, ...] = ()) -> Schema:
    return Schema(("text",), "label", kind, classes)


def test_the_schema_chooses_the_task() -> None:
    assert task_for(schema("single", ABC)) == SingleLabel(ABC)
    assert task_for(schema("multi", ABC)) == MultiLabel(ABC)
    assert task_for(schema("score")) == Score(0.0, 1.0)
    with pytest.raises(UsageError, match="no task of the kind 'ranking'; the kinds are single, multi, score"):
        task_for(schema("ranking"))


@pytest.mark.parametrize("task", TASKS, ids=NAMES)
def test_a_task_survives_json(task: Task) -> None:
    assert task_from_dict(json.loads(json.dumps(task.to_dict()))) == task
    assert task.to_dict()["kind"] == task.kind


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({}, "no task of the kind None"),
        ({"kind": ["single"]}, "no task of the kind"),
        ({"kind": "single"}, r"fields \['classes'\] and got \[\]"),
        ({"kind": "score", "mean": 1.0, "deviation": 1.0, "unit": 3}, "and got .*'unit'"),
        ({"kind": "single", "classes": "ab"}, "list of names, not 'ab'"),
        ({"kind": "multi", "classes": ["a", 1]}, "list of names"),
        ({"kind": "single", "classes": ["a"]}, r"at least 2 different classes and got \['a'\]"),
        ({"kind": "multi", "classes": []}, "at least 1 different classes"),
        ({"kind": "multi", "classes": ["a", "a"]}, "different classes"),
        ({"kind": "score", "mean": "0", "deviation": 1.0}, "are numbers, not '0'"),
        ({"kind": "score", "mean": 0.0, "deviation": True}, "are numbers"),
        ({"kind": "score", "mean": 0.0, "deviation": 0.0}, "positive deviation, not 0.0 and 0.0"),
        ({"kind": "score", "mean": math.inf, "deviation": 1.0}, "finite mean"),
        ({"kind": "score", "mean": 0.0, "deviation": math.nan}, "positive deviation"),
    ],
)
def test_plain_data_that_is_no_task_is_refused(record: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        task_from_dict(record)


def test_targets_are_indices_columns_or_standardized_scores() -> None:
    single = SingleLabel(ABC).targets([example("c"), example("a")])
    assert single.dtype == torch.int64 and single.tolist() == [2, 0]
    multi = MultiLabel(ABC).targets([example(("c", "a")), example(())])
    assert multi.dtype == torch.float32 and multi.tolist() == [[1, 0, 1], [0, 0, 0]]
    score = Score(10.0, 2.0).targets([example(13.0), example(8)])
    assert score.dtype == torch.float32 and score.tolist() == [1.5, -1.0]
    assert [task.outputs for task in TASKS] == [3, 3, 1]


@pytest.mark.parametrize(
    ("task", "label", "words"),
    [
        (SingleLabel(ABC), "d", r"train\.csv:9 has the label 'd'; this task takes one of 'a', 'b', 'c'\."),
        (SingleLabel(ABC), None, r"train\.csv:9 has the label None"),
        (SingleLabel(ABC), ("a",), "one of 'a'"),
        (SingleLabel(tuple("abcdefghijklm")), "z", r"'i', 'j' and 3 more\."),
        (SingleLabel(tuple("abcdefghij")), "z", r"'i', 'j'\."),
        (MultiLabel(ABC), ("a", "d"), r"train\.csv:9 .* 'd' is not among its 3"),
        (MultiLabel(ABC), "a", "tuple of class names"),
        (MultiLabel(ABC), None, "has the label None"),
        (Score(), "good", r"train\.csv:9 has the label 'good'; this task takes a finite number"),
        (Score(), math.nan, "has the label nan"),
        (Score(), None, "has the label None"),
        (Score(), True, "has the label True"),
    ],
)
def test_a_label_that_does_not_fit_is_named_with_its_place(task: Task, label: object, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        task.targets([example(labels_for(task)[0]), example(label, 9)])


def test_scores_are_standardized_by_the_training_labels_and_the_rest_learns_nothing() -> None:
    task = Score().fitted([example(value) for value in (2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0)])
    assert task == Score(5.0, 2.0)
    constant = Score().fitted([example(0.1)] * 3)
    assert (constant.mean, constant.deviation) == (pytest.approx(0.1), 1.0)
    with pytest.raises(UsageError, match="no training row"):
        Score().fitted([])
    for unlearning in TASKS[:2]:
        assert unlearning.fitted([example("a")]) is unlearning


def log_softmax(row: list[float]) -> list[float]:
    total = math.log(sum(math.exp(x) for x in row))
    return [x - total for x in row]


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_classes_is_its_formula(weights: list[float] | None, smoothing: float) -> None:
    logits, targets = [[1.0, -2.0, 0.5], [0.3, 0.1, 2.0]], [0, 1]
    rows = []
    for row, y in zip(logits, targets, strict=True):
        share = [(1 - smoothing) * (c == y) + smoothing / 3 for c in range(3)]
        rows.append(-sum(w * s * p for w, s, p in zip(weights or [1] * 3, share, log_softmax(row), strict=True)))
    given = None if weights is None else torch.tensor(weights)
    loss = SingleLabel(ABC).loss(torch.tensor(logits), torch.tensor(targets), given, smoothing)
    assert loss.item() == pytest.approx(plain.mean(rows), rel=1e-5)


@pytest.mark.parametrize("weights", [None, [1.0, 2.0, 0.5]])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_the_loss_of_label_sets_is_its_formula(weights: list[float] | None, smoothing: float) -> None:
    logits, targets = [[1.0, -2.0, 0.5], [0.3, 0.1, 2.0]], [[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
    cells = []
    for row, labels in zip(logits, targets, strict=True):
        for x, t, w in zip(row, labels, weights or [1.0] * 3, strict=True):
            p, t = 1 / (1 + math.exp(-x)), (1 - smoothing) * t + smoothing / 2
            cells.append(-(w * t * math.log(p) + (1 - t) * math.log(1 - p)))
    given = None if weights is None else torch.tensor(weights)
    loss = MultiLabel(ABC).loss(torch.tensor(logits), torch.tensor(targets), given, smoothing)
    assert loss.item() == pytest.approx(plain.mean(cells), rel=1e-5)


def test_the_loss_of_scores_is_the_mean_squared_error() -> None:
    loss = Score().loss(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 1.0]))
    assert loss.item() == pytest.approx((1 + 4) / 2)
    with pytest.raises(UsageError, match=r"logits of shape \(2, 1\) and got \(2,\)"):
        Score().loss(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0]))
    for wrong in ({"class_weights": torch.ones(1)}, {"label_smoothing": 0.1}):
        with pytest.raises(UsageError, match="need classes, but the label is a score"):
            Score().loss(torch.zeros(1, 1), torch.zeros(1), **wrong)
    with pytest.raises(UsageError, match="Class weights were asked for, but the label is a score"):
        Score().class_weights(torch.zeros(1))


@pytest.mark.parametrize("task", TASKS[:2], ids=NAMES[:2])
@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_smoothing_outside_its_range_is_refused(task: Task, smoothing: float) -> None:
    targets = task.targets([example(labels_for(task)[0])])
    with pytest.raises(UsageError, match=f"at least 0 and below 1, not {smoothing}"):
        task.loss(torch.zeros(1, 3), targets, label_smoothing=smoothing)


def test_label_sets_of_another_shape_are_refused() -> None:
    with pytest.raises(UsageError, match=r"shape \(2, 3\) meet targets of shape \(2, 1\)"):
        MultiLabel(ABC).loss(torch.zeros(2, 3), torch.zeros(2, 1))


def test_class_weights_balance_the_classes() -> None:
    weights = SingleLabel(ABC).class_weights(torch.tensor([0, 0, 0, 1]))
    assert weights.tolist() == pytest.approx([4 / 9, 4 / 3, 1.0])
    columns = torch.tensor([[1.0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 0, 1]])
    assert MultiLabel(ABC).class_weights(columns).tolist() == pytest.approx([3.0, 1.0, 1e-3])


def test_a_class_weight_counts_in_a_batch_of_one() -> None:
    logits, target = torch.tensor([[0.0, 1.0, 2.0]]), torch.tensor([1])
    once = SingleLabel(ABC).loss(logits, target)
    thrice = SingleLabel(ABC).loss(logits, target, torch.tensor([1.0, 3.0, 1.0]))
    assert thrice.item() == pytest.approx(3 * once.item())


@pytest.mark.parametrize("task", TASKS, ids=NAMES)
def test_the_loss_falls_on_eight_memorized_examples(task: Task) -> None:
    torch.manual_seed(0)
    targets = task.targets([example(label) for label in labels_for(task)])
    layer = torch.nn.Linear(8, task.outputs)
    first = task.loss(layer(torch.eye(8)), targets)
    steps = torch.optim.Adam(layer.parameters(), 0.1)
    for _ in range(200):
        steps.zero_grad()
        task.loss(layer(torch.eye(8)), targets).backward()
        steps.step()
    logits = layer(torch.eye(8))
    assert task.loss(logits, targets).item() < 0.02 * first.item()
    said = [prediction.label for prediction in task.predict(logits)]
    if task.kind == "score":
        assert said == pytest.approx([float(label) for label in labels_for(task)], abs=0.3)
    else:
        assert said == labels_for(task)


def test_predictions_carry_probabilities() -> None:
    one = SingleLabel(ABC).predict(torch.tensor([[0.0, math.log(2), 0.0]]))[0]
    assert (one.label, one.probability) == ("b", pytest.approx(0.5))
    assert one.probabilities == pytest.approx({"a": 0.25, "b": 0.5, "c": 0.25})
    assert one.to_dict()["label"] == "b"
    several = MultiLabel(ABC).predict(torch.tensor([[0.0, math.log(3), -1e-3]]))[0]
    assert (several.label, several.probability) == (("a", "b"), None)
    assert several.probabilities["b"] == pytest.approx(0.75)
    score = Score(10.0, 2.0).predict(torch.tensor([[-1.5]]))[0]
    assert (score.label, score.probability, score.probabilities) == (7.0, None, {})


def test_of_equal_classes_the_first_is_predicted_and_measured() -> None:
    task, level = SingleLabel(ABC), torch.zeros(1, 3)
    assert task.predict(level)[0].label == "a"
    assert task.measure(level, torch.tensor([0]))["accuracy"].value == 1.0
    assert task.selection_value(level, torch.tensor([0])) == 1.0
    assert task.confusion(level, torch.tensor([0])).counts[0, 0] == 1


@pytest.mark.parametrize("task", TASKS, ids=NAMES)
def test_predictions_do_not_depend_on_batch_mates(task: Task) -> None:
    logits = torch.randn(33, task.outputs, generator=torch.Generator().manual_seed(1)) * 5
    together = task.predict(logits)
    assert together == [task.predict(row[None])[0] for row in logits]
    assert together == task.predict(torch.cat([logits, torch.full((1, task.outputs), 1e6)]))[:-1]


@pytest.mark.parametrize("task", TASKS, ids=NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_not_finite_give_one_clear_sentence(task: Task, bad: float) -> None:
    logits = torch.zeros(4, task.outputs)
    logits[2:, task.outputs - 1] = bad
    targets = task.targets([example(label) for label in labels_for(task)[:4]])
    words = rf"row 2 holds {bad} in output {task.outputs - 1} \(2 of 4 rows are affected\)"
    for call in (
        lambda: task.predict(logits),
        lambda: task.measure(logits, targets),
        lambda: task.selection_value(logits, targets),
    ):
        with pytest.raises(FailedError, match=words):
            call()


@pytest.mark.parametrize("task", TASKS, ids=NAMES)
@pytest.mark.parametrize("shape", [(2, 5), (3,)])
def test_logits_of_another_shape_are_refused(task: Task, shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=rf"\(rows, {task.outputs}\) and got"):
        task.predict(torch.zeros(shape))


@pytest.mark.parametrize("task", TASKS, ids=NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_selection_measure_is_among_the_measures_with_the_same_value(task: Task, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(2)
    targets = task.targets([example(label) for label in labels_for(task)])
    logits = torch.randn(8, task.outputs, generator=random).to(dtype).requires_grad_()
    chosen = task.measure(logits, targets, np.random.default_rng(3))[task.select.measure]
    assert task.selection_value(logits, targets) == pytest.approx(chosen.value)
    assert chosen.low < chosen.high


def test_each_task_says_what_chooses_the_best_checkpoint() -> None:
    assert [task.select for task in TASKS] == [
        Selection("accuracy", True),
        Selection("mean_average_precision", True),
        Selection("rmse", False),
    ]
    up, down = Selection("accuracy", True), Selection("rmse", False)
    assert up.better(0.1, None) and up.better(0.6, 0.5) and not up.better(0.5, 0.5) and not up.better(0.4, 0.5)
    assert down.better(0.1, None) and down.better(0.4, 0.5) and not down.better(0.5, 0.5) and not down.better(0.6, 0.5)


def test_measures_of_scores_are_in_the_units_of_the_label() -> None:
    task = Score(10.0, 2.0)
    targets = task.targets([example(value) for value in (8.0, 10.0, 13.0)])
    measures = task.measure(torch.tensor([[0.0], [0.0], [1.0]]), targets)
    assert measures["mae"].value == pytest.approx((2 + 0 + 1) / 3, rel=1e-6)
    assert measures["rmse"].value == pytest.approx((5 / 3) ** 0.5, rel=1e-6)
    assert task.selection_value(torch.tensor([[0.0], [0.0], [1.0]]), targets) == pytest.approx((5 / 3) ** 0.5)


def test_measures_of_label_sets_use_each_label_by_itself() -> None:
    task = MultiLabel(("x", "y"))
    measures = task.measure(torch.tensor([[5.0, 4.0], [-5.0, 4.0]]), torch.tensor([[1.0, 1.0], [0.0, 0.0]]))
    assert measures["subset_accuracy"].value == 0.5
    assert measures["hamming_loss"].value == 0.25
    assert measures["precision:y"].value == 0.5
