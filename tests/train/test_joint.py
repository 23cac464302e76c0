"""Training on several data files: each task by itself again, and everything that is refused."""

import random
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.data.tokens import from_json
from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.run.record import read_record
from attnkit.train import evaluate, load, train
from attnkit.train.narrow import narrowed
from tests.train.small import SMALL, small_data, write_csv
from tests.train.test_resume import Crash, stop_at, weights_of

SETTINGS = {**SMALL, "epochs": 4, "checkpoint_every_steps": 2}


def colors(folder: Path, count: int = 60) -> Path:
    """A second task: which of three words of its own a text holds."""
    draw = random.Random(0)
    words = [draw.choice(("red", "blue", "green")) for _ in range(count)]
    return write_csv(folder / "colors.csv", [(f"the {word} thing no{n}", word) for n, word in enumerate(words)])


def scores(folder: Path, count: int = 60) -> Path:
    """A third task: a number that one word says."""
    draw = random.Random(1)
    rows = [(f"rated {word} no{n}", str(value)) for n in range(count) for word, value in [draw.choice(SCALE)]]
    return write_csv(folder / "scores.csv", rows, ("text", "score"))


SCALE = (("low", 1.5), ("middle", 3.25), ("high", 4.75))


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("joint")
    also = [str(colors(folder)), str(scores(folder))]
    return train(small_data(folder), also=also, balance="uncertainty", out=folder / "run", **{**SETTINGS, "epochs": 8})


def test_each_task_is_learned_measured_and_named(learned: Run) -> None:
    metrics = learned.metrics
    assert metrics["test"]["accuracy"]["value"] >= 0.9
    color, score = metrics["tasks"]
    assert (color["name"], color["select"], score["name"]) == ("colors", "accuracy", "scores")
    assert color["test"]["accuracy"]["value"] >= 0.9 and score["test"]["rmse"]["value"] < 0.8
    assert color["validation"]["accuracy"]["n"] == color["sizes"]["validation"] > 0
    assert learned.recipe.model.wide_ngrams == 0, "it would begin from the labels of one task"
    assert "learned together with colors, scores (balance uncertainty), which chose nothing" in metrics["protocol"]
    assert [line["measure"] for line in metrics["history"]] == ["accuracy"] * len(metrics["history"])


def test_a_run_predicts_any_of_its_tasks(learned: Run) -> None:
    assert load(learned).predict(["a lovely film"])[0].label == "pos"
    assert load(learned, task="data").predict(["a lovely film"]) == load(learned).predict(["a lovely film"])
    assert load(learned, task="colors").predict(["the green thing"])[0].label == "green"
    assert float(load(learned, task="scores").predict(["rated high"])[0].label) > 3.5  # type: ignore[arg-type]
    assert load(learned, task="colors").schema.classes == ("blue", "green", "red")
    with pytest.raises(UsageError, match="the tasks data, colors, scores, and none called 'shapes'"):
        load(learned, task="shapes")


def test_each_task_is_evaluated_on_its_own_rows(learned: Run) -> None:
    for one in learned.metrics["tasks"]:
        found = evaluate(learned, task=one["name"])
        assert {name: figure.to_dict() for name, figure in found.measures.items()} == one["test"]
    assert evaluate(learned).measures["accuracy"].to_dict() == learned.metrics["test"]["accuracy"]
    path = next(one["path"] for one in learned.data["also"] if one["name"] == "colors")
    again = evaluate(learned, path, task="colors")
    assert again.measures["accuracy"].n == 60 and "stand in its training rows" in again.protocol
    with pytest.raises(UsageError, match="label the model never met|has the label"):
        evaluate(learned, path)


def test_one_encoder_reads_the_words_of_all_tasks(learned: Run) -> None:
    tokenizer = from_json((learned.path / "model" / "tokenizer.json").read_text("utf-8"))
    known = tokenizer.encode_all(["lovely green middle never-seen"])[0]
    assert known[-1] == 1 and 1 not in known[:3]
    weights = weights_of(learned.path)
    assert weights["head.weight"].shape[0] == 2 + 3 + 1
    assert not any(name.startswith("balance") for name in weights)
    ids, keep = load(learned).preprocessing.collate([known])
    whole = load(learned, task="colors").network(ids, keep)
    assert torch.equal(whole[0], weights["head.weight"][2:5] @ _summary(learned, ids, keep) + weights["head.bias"][2:5])


def _summary(run: Run, ids: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
    found: list[torch.Tensor] = []
    network = load(run).network
    hook = network.get_submodule("head").register_forward_hook(lambda module, given, out: found.append(given[0]))
    network(ids, keep)
    hook.remove()
    return found[0][0]


@pytest.mark.parametrize("balance", ["none", "uncertainty", "upgrad"])
def test_a_stopped_training_of_several_tasks_ends_as_one_that_was_not(tmp_path: Path, balance: str) -> None:
    if balance == "upgrad":
        pytest.importorskip("torchjd")
    values: dict[str, Any] = {**SETTINGS, "epochs": 2, "balance": balance, "also": [str(colors(tmp_path, 40))]}
    values["ema_decay"] = 0.5
    source = small_data(tmp_path, 40)
    whole = train(source, out=tmp_path / "whole", **values)
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=stop_at(5), **values)
    run = train(source, out=tmp_path / "run", resume=True, **values)
    wanted, found = weights_of(whole.path), weights_of(run.path)
    assert all(torch.equal(value, found[name]) for name, value in wanted.items())
    assert run.metrics["tasks"] == whole.metrics["tasks"]


def test_a_further_file_that_changed_ends_a_resume(tmp_path: Path) -> None:
    other = colors(tmp_path, 40)
    values: dict[str, Any] = {**SETTINGS, "also": [str(other)]}
    source = small_data(tmp_path, 40)
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=stop_at(3), **values)
    assert [one["name"] for one in read_record(tmp_path / "run.partial" / "data.json")["also"]] == ["colors"]
    with open(other, "a", encoding="utf-8") as file:
        file.write("a new red thing,red\n")
    with pytest.raises(UsageError, match=r"colors\.csv changed since"):
        train(source, out=tmp_path / "run", resume=True, **values)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"folds": 3}, "evaluate.folds is about one task"),
        ({"adversarial": "vat"}, "vat is about one task"),
        ({"balance": "upgrad", "task_temperature": 3.0}, "task_temperature = 3"),
        ({"also": ["missing.csv"]}, "missing.csv"),
        ({"also": ["colors.csv", "colors.csv"]}, "two data files make a task called 'colors'"),
        ({"also": ["data.csv"]}, "two data files make a task called 'data'"),
    ],
)
def test_what_cannot_be_done_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    colors(tmp_path, 40)
    small_data(tmp_path, 40)
    with pytest.raises(UsageError, match=said):
        train("data.csv", out="run", **{**SETTINGS, "also": ["colors.csv"], **values})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["colors.csv", "data.csv"]


def test_a_balance_needs_several_tasks_and_upgrad_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="weigh several tasks"):
        train(small_data(tmp_path, 40), out=tmp_path / "run", balance="uncertainty", **SETTINGS)
    monkeypatch.setitem(sys.modules, "torchjd.aggregation", None)
    with pytest.raises(UsageError, match=r"attnkit\[multitask\]"):
        also = [str(colors(tmp_path, 40))]
        train(small_data(tmp_path, 40), out=tmp_path / "run", balance="upgrad", also=also, **SETTINGS)
    assert not list(tmp_path.glob("run*"))


def test_a_run_of_one_task_has_no_names(tmp_path: Path) -> None:
    run = train(small_data(tmp_path, 40), out=tmp_path / "run", **{**SETTINGS, "epochs": 1})
    assert run.metrics["tasks"] == [] and "also" not in run.data
    with pytest.raises(UsageError, match="one task alone"):
        load(run, task="data")


def test_narrowing_copies_and_leaves_the_model_alone() -> None:
    model = torch.nn.ModuleDict({"head": torch.nn.Linear(3, 5), "balance": torch.nn.Linear(1, 1)})
    found = narrowed(model, slice(1, 3))
    head = found.get_submodule("head")
    assert isinstance(head, torch.nn.Linear) and head.weight.shape == (2, 3)
    wide = model["head"]
    assert isinstance(wide, torch.nn.Linear) and torch.equal(head.weight, wide.weight[1:3])
    assert "balance" in model and "balance" not in dict(found.named_children()) and wide.weight.shape == (5, 3)
