"""The main job: a data file becomes a run directory that predicts, and nothing leaks on the way."""

import csv
import math
from pathlib import Path

import pytest
import torch

from attnkit.errors import FailedError, UsageError
from attnkit.run.checkpoint import read_tensors
from attnkit.run.directory import Run
from attnkit.run.log import read_log
from attnkit.train import evaluate, load, train
from attnkit.train.events import Event
from tests.train.small import SMALL, sentences, small_data, split_data, write_csv


def weights(run: Run) -> dict[str, torch.Tensor]:
    return read_tensors(run.path / "model" / "weights.safetensors")[0]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_csv_becomes_a_run_that_predicts(tmp_path: Path) -> None:
    heard: list[Event] = []
    settings = {**SMALL, "epochs": 12, "width": 16, "embedding_width": 16}
    run = train(small_data(tmp_path, 200), out=tmp_path / "run", progress=heard.append, **settings)
    assert {p.name for p in run.path.iterdir()} == {
        "recipe.toml", "data.json", "log.jsonl", "metrics.json", "machine.json", "model", "report.html",
    }  # fmt: skip
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".partial")] == []
    labels = [p.label for p in load(run.path).predict(["it was a great film", "so dull and the plot"])]
    assert labels == ["pos", "neg"]
    assert run.metrics["test"]["accuracy"]["value"] >= 0.8
    assert {event.kind for event in heard} >= {"said", "choice", "start", "step", "evaluation", "stop", "done"}
    assert "auto" not in str(run.recipe.to_plain()["model"])
    # What the log says of an evaluation is what the loop did.
    evaluations = [line for line in read_log(run.path / "log.jsonl") if line["event"] == "evaluation"]
    assert [e["step"] for e in evaluations] == [h["step"] for h in run.metrics["history"]]


def test_evaluate_reads_the_same_test_rows_again(tmp_path: Path) -> None:
    run = train(small_data(tmp_path), out=tmp_path / "run", **SMALL)
    again = evaluate(run)
    assert again.measures["accuracy"].value == run.metrics["test"]["accuracy"]["value"]
    assert again.measures["accuracy"].n == run.metrics["sizes"]["test"] == 8
    with open(tmp_path / "data.csv", "a", encoding="utf-8") as file:
        file.write("one more,pos\n")
    with pytest.raises(UsageError, match="changed since"):
        evaluate(run)
    other = write_csv(tmp_path / "other.csv", sentences(30, seed=9))
    assert evaluate(run, other).measures["accuracy"].n == 30


def test_evaluate_says_which_rows_the_figures_stand_on(tmp_path: Path) -> None:
    run = train(small_data(tmp_path), out=tmp_path / "run", **SMALL)
    size = run.metrics["sizes"]["train"]
    assert evaluate(run, tmp_path / "data.csv").protocol == (
        f"all rows of data.csv; {size} of them stand in its training rows"
    )
    some = write_csv(tmp_path / "some.csv", [*sentences(6, seed=9), ("no label here", "")])
    assert evaluate(run, some).protocol == "all rows of some.csv; 1 without a label left out"


def test_texts_that_the_limit_cuts_are_named_before_the_first_step(tmp_path: Path) -> None:
    heard: list[Event] = []
    source = split_data(tmp_path)
    write_csv(source / "train.csv", [*sentences(60), ("good film " * 20, "pos")])
    train(source, out=tmp_path / "run", progress=heard.append, max_tokens=12, **SMALL)
    kinds = [event.kind for event in heard]
    (cut,) = (event for event in heard if event.kind == "finding" and "cut to 12 tokens" in event.values["sentence"])
    assert "1 text of the train split (1.6 %) is cut to 12 tokens, the longest from 40" in cut.values["sentence"]
    assert cut.values["places"] == [f"{source / 'train.csv'}:62"]
    assert kinds.index("finding") < kinds.index("step")


def test_the_record_of_confusions_holds_their_intervals(tmp_path: Path) -> None:
    confusion = train(small_data(tmp_path, 120), out=tmp_path / "run", **SMALL).metrics["confusion"]
    assert confusion["n"] == sum(map(sum, confusion["counts"])) == 12
    low, counts, high = (torch.tensor(confusion[name]) for name in ("low", "counts", "high"))
    assert (low <= counts).all() and (counts <= high).all() and (low < high).any()


def test_test_labels_change_nothing_but_the_test_figures(tmp_path: Path) -> None:
    source = split_data(tmp_path)
    honest = train(source, out=tmp_path / "honest", **SMALL)
    rows = list(csv.reader((source / "test.csv").read_text("utf-8").splitlines()))
    poisoned = [(text, "neg" if label == "pos" else "pos") for text, label in rows[1:]]
    write_csv(source / "test.csv", poisoned)
    wrong = train(source, out=tmp_path / "wrong", **SMALL)
    assert same(weights(honest), weights(wrong))
    accuracy = [run.metrics["test"]["accuracy"]["value"] for run in (honest, wrong)]
    assert accuracy[0] == pytest.approx(1 - accuracy[1])


def test_vocabulary_comes_from_the_training_split_alone(tmp_path: Path) -> None:
    source = split_data(tmp_path)
    for name in ("validation", "test"):
        with open(source / f"{name}.csv", "a", encoding="utf-8") as file:
            file.writelines(f"zebra{name} the film number {n},pos\n" for n in range(6))
    run = train(source, out=tmp_path / "run", min_count=1, **SMALL)
    vocabulary = (run.path / "model" / "tokenizer.json").read_text("utf-8")
    assert "zebra" not in vocabulary and "film" in vocabulary


def test_validation_chooses_the_best_weights(tmp_path: Path) -> None:
    run = train(split_data(tmp_path), out=tmp_path / "run", **{**SMALL, "epochs": 5, "patience": 2})
    history = run.metrics["history"]
    best = [line for line in history if line["best"]][-1]
    assert best["value"] == max(line["value"] for line in history)
    assert run.metrics["validation"]["accuracy"]["value"] == best["value"]


def test_early_stopping_stops_early(tmp_path: Path) -> None:
    # Labels that no text explains: validation cannot keep improving.
    rows = [(text, ("pos", "neg")[number // 2 % 2]) for number, (text, _) in enumerate(sentences(60))]
    settings = {**SMALL, "epochs": 60, "patience": 2}
    run = train(write_csv(tmp_path / "noise.csv", rows), out=tmp_path / "run", **settings)
    assert len(run.metrics["history"]) < 60
    assert "2 evaluations in a row" in run.metrics["stopped"]


def test_a_nonfinite_loss_names_the_rows_and_the_layer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnkit.model.bilstm import BiLSTM

    forward, calls = BiLSTM.forward, []

    def breaks(self: BiLSTM, x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        calls.append(1) if self.training else None
        return forward(self, x, keep) * (math.nan if len(calls) > 3 else 1.0)

    monkeypatch.setattr(BiLSTM, "forward", breaks)
    with pytest.raises(FailedError, match=r"epoch 1, batch 4 \(rows .*data\.csv:\d+.*encoder \(BiLSTM\)"):
        train(small_data(tmp_path), out=tmp_path / "run", **{**SMALL, "encoder": "bilstm"})
    assert not (tmp_path / "run").exists() and (tmp_path / "run.partial" / "checkpoint.safetensors").exists()


def test_a_layer_that_breaks_in_bfloat16_alone_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from attnkit.model.bilstm import BiLSTM

    forward = BiLSTM.forward

    def breaks(self: BiLSTM, x: torch.Tensor, keep: torch.Tensor) -> torch.Tensor:
        return forward(self, x, keep) * (math.inf if torch.is_autocast_enabled("cpu") else 1.0)

    monkeypatch.setattr(BiLSTM, "forward", breaks)
    with pytest.raises(FailedError, match=r"encoder \(BiLSTM\)"):
        train(small_data(tmp_path), out=tmp_path / "run", precision="bfloat16", **{**SMALL, "encoder": "bilstm"})


def test_a_finding_says_how_many_places_it_has_in_all(tmp_path: Path) -> None:
    heard: list[Event] = []
    source = split_data(tmp_path)
    write_csv(source / "train.csv", [*sentences(60), *((f"film no{n} " * 20, "pos") for n in range(25))])
    train(source, out=tmp_path / "run", progress=heard.append, max_tokens=12, **SMALL)
    (cut,) = (event.values for event in heard if event.kind == "finding" and "cut to 12" in event.values["sentence"])
    assert len(cut["places"]) == 20 and cut["places_in_all"] == 25


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"pooling": "bahdanou"}, "bahdanau"),
        ({"epoch": 3}, "epochs"),
        ({"label": "lable"}, "label"),
        ({"width": 7, "encoder": "bilstm"}, "even"),
        ({"epochs": -1}, "epochs"),
        ({"class_weights": True, "kind": "score"}, "."),
    ],
)
def test_wrong_options_are_one_sentence_and_leave_nothing(tmp_path: Path, options: dict, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        train(small_data(tmp_path), out=tmp_path / "run", **{**SMALL, **options})
    assert "\n" not in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["data.csv"]


def test_out_that_stands_already_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        train(small_data(tmp_path), out=tmp_path / "run", **SMALL)
    assert (tmp_path / "run" / "mine.txt").read_text() == "mine"


def test_training_leaves_the_callers_random_numbers_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train(small_data(tmp_path, 40), out=tmp_path / "run", **SMALL)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("extra", [{"ema_decay": 0.9}, {"precision": "bfloat16"}, {"schedule": "linear"}])
def test_options_train_and_stay_finite(tmp_path: Path, extra: dict) -> None:
    settings = {**SMALL, "epochs": 8, **extra}
    run = train(small_data(tmp_path, 120), out=tmp_path / "run", **settings)
    assert run.metrics["history"][-1]["train_loss"] < run.metrics["history"][0]["train_loss"]


def test_class_weights_raise_the_recall_of_the_rare_class(tmp_path: Path) -> None:
    rows = [row for number, row in enumerate(sentences(300)) if row[1] == "neg" or number % 20 == 1]
    source = write_csv(tmp_path / "rare.csv", rows)
    recall = {}
    for weighted in (False, True):
        run = train(
            source,
            out=tmp_path / f"run{weighted}",
            class_weights=weighted,
            # A wide branch knows the telling words before the first step.
            **{**SMALL, "learning_rate": 0.003, "wide_ngrams": 0},
        )
        recall[weighted] = run.metrics["validation"]["recall:pos"]["value"]
    assert recall[True] > recall[False]
