"""A study in one process: what it reads, what it writes, and what each trial's end looks like."""

import json
import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from attnkit.data.split import Splits
from attnkit.errors import FailedError, UsageError
from attnkit.run.directory import Run
from attnkit.run.listing import is_run
from attnkit.train import train
from attnkit.train.prepare import read_source
from attnkit.tune import Study, objective, tune, worker
from attnkit.tune.asked import asked_for
from attnkit.tune.info import explain_path
from attnkit.tune.objective import held_out
from attnkit.tune.page import study_page
from tests.train.small import sentences, write_csv
from tests.tune.small_study import SETTINGS, SPACE, Heard, data


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Heard]:
    folder, heard = tmp_path_factory.mktemp("tuned"), Heard()
    rates = {"train.learning_rate": {"low": 0.0005, "high": 0.5, "log": True}}
    space = {**SPACE, **rates, "model.encoder": ["none", "bilstm"]}
    settings = {**SETTINGS, "space": space, "width": 7, "sampler_seed": 1, "pruner": "halving"}
    del settings["encoder"]
    return tune(data(folder), out=folder / "study", progress=heard, trials=18, **settings), heard


def test_every_trial_is_accounted_for(finished: tuple[Study, Heard]) -> None:
    study, heard = finished
    record, lines = study.leaderboard, study.trials
    assert [line["number"] for line in lines] == list(range(18))
    listed = [entry["number"] for part in ("complete", "pruned", "others") for entry in record[part]]
    assert sorted(listed) == list(range(18))
    assert sum(record["counts"].values()) == 18 == record["counted"]
    assert min(record["counts"][state] for state in ("complete", "pruned", "impossible")) >= 1
    ended = [trial for trial in heard.trials() if trial["state"] != "running"]
    assert [trial["number"] for trial in ended] == list(range(18)) and ended[-1]["done"] == 18
    for line in lines:
        assert line["setting"].keys() == {*SPACE, "model.encoder"}
        assert line["core_seconds"] > 0 and line["seconds"] > 0
        if line["state"] == "impossible":
            assert "even" in line["reason"] and line["setting"]["model.encoder"] == "bilstm"
        if line["state"] == "pruned":
            assert line["reason"].startswith("no promise") and len(line["course"]) < 2


def test_the_leaderboard_ranks_and_says_how_sure_it_is(finished: tuple[Study, Heard]) -> None:
    record = finished[0].leaderboard
    entries = record["complete"]
    values = [entry["value"] for entry in entries]
    assert values == sorted(values, reverse=True) and [entry["rank"] for entry in entries] == list(
        range(1, len(entries) + 1)
    )
    assert record["best"] == entries[0]["number"] and entries[0]["tied"]
    for entry in entries:
        assert entry["low"] <= entry["value"] <= entry["high"]
        assert entry["behind"]["value"] == pytest.approx(entry["value"] - values[0])
        assert entry["tied"] == (entry["rank"] == 1 or entry["behind"]["low"] <= 0 <= entry["behind"]["high"])
    assert record["corrected"]["value"] <= values[0] + 1e-9


def test_the_best_setting_is_trained_as_any_run(finished: tuple[Study, Heard], tmp_path: Path) -> None:
    study = finished[0]
    best, final = study.leaderboard["complete"][0], study.final
    assert final is not None
    plain = final.recipe.to_plain()
    for name, value in best["setting"].items():
        section, field = name.split(".")
        assert plain[section][field] == value
    # The same rows, seed and setting give the figure that the trial had.
    assert final.metrics["validation"]["accuracy"]["value"] == best["value"]
    assert study.leaderboard["test"] == final.metrics["test"]["accuracy"]
    again = train(recipe=study.path / "best.toml", out=tmp_path / "run")
    assert again.metrics["test"] == final.metrics["test"]
    assert "# chosen: the best of" in (study.path / "best.toml").read_text("utf-8")


def test_nothing_but_records_is_left(finished: tuple[Study, Heard]) -> None:
    study = finished[0]
    assert not study.path.with_name("study.partial").exists()
    names = {path.name for path in study.path.iterdir()}
    assert names == {
        "study.json",
        "journal.jsonl",
        "trials.jsonl",
        "trials",
        "leaderboard.json",
        "best.toml",
        "final",
        "machine.json",
        "report.html",
    }
    complete = {f"{entry['number']:04d}.safetensors" for entry in study.leaderboard["complete"]}
    assert {path.name for path in (study.path / "trials").iterdir()} == complete
    for line in (study.path / "journal.jsonl").read_text("utf-8").splitlines():
        json.loads(line)


def test_a_finished_study_takes_no_more_trials(finished: tuple[Study, Heard]) -> None:
    path = finished[0].path
    again: dict[str, Any] = {"out": path, "resume": True}
    for given in ({}, {"trials": 18}, {"trials": 3}):
        assert tune(**again, **given).path == path
    with pytest.raises(UsageError, match="takes no more trials, since its test rows were read; leave tune.trials = 19"):
        tune(**again, trials=19)
    with pytest.raises(UsageError, match=r"takes no more trials, .* tune.tune_minutes = 2.0"):
        tune(**again, tune_minutes=2)
    with pytest.raises(UsageError, match="begun with tune.pruner = 'halving'"):
        tune(**again, pruner="median")


def test_info_tells_of_a_study_and_runs_do_not_list_it(finished: tuple[Study, Heard]) -> None:
    study = finished[0]
    found = explain_path(study.path)
    assert found.kind == "study" and not found.missing and not is_run(study.path)
    said = " ".join(found.sentences)
    assert "18" not in found.kind and "impossible" in said and "Quote the test figure" in said
    assert found.next[0] == f"attn train --recipe {study.path / 'best.toml'}"
    assert explain_path(study.path / "final").kind == "run"
    with pytest.raises(UsageError, match="not a run directory"):
        Run.open(study.path)


def test_the_page_stands_by_itself_and_escapes(finished: tuple[Study, Heard]) -> None:
    text = (finished[0].path / "report.html").read_text("utf-8")
    assert "http" not in text and text.count("data:image/png;base64,") >= 3
    for words in ("What the best figure is worth", "Leaderboard", "Without a figure", "model.width must be even"):
        assert words in text
    assert not re.search(r"<script|src=\"(?!data:)", text)


def test_what_comes_from_data_is_escaped(finished: tuple[Study, Heard]) -> None:
    study = finished[0]
    record, bad = study.leaderboard, "<script>alert(1)</script>"
    record["others"][0]["reason"] = record["protocol"] = bad
    for entry in (record["complete"][0], record["pruned"][0], record["others"][0]):
        entry["setting"]["model.encoder"] = bad
    text = study_page(bad, record, [], study.plan, {bad: bad})
    assert "<script" not in text and text.count("&lt;script&gt;") >= 8


def test_the_search_never_sees_a_test_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    rows = sentences(130)
    for name, part in (("train", rows[:70]), ("validation", rows[70:100]), ("test", rows[100:])):
        write_csv(folder / f"{name}.csv", part)
    hidden = {text for text, _ in rows[100:]}
    seen: list[Splits] = []
    real = objective.train_splits

    def watched(*args: Any, **kwargs: Any) -> Any:
        seen.append(args[3])
        return real(*args, **kwargs)

    monkeypatch.setattr(objective, "train_splits", watched)
    tune(folder, out=tmp_path / "study", trials=1, final=False, tune_folds=2, **SETTINGS)
    assert len(seen) == 2
    texts = [{row.text for part in (one.train, one.validation, one.test) for row in part} for one in seen]
    assert not any(hidden & held for held in texts)
    measured = [{row.text for row in one.test} for one in seen]
    assert measured[0].isdisjoint(measured[1])
    assert sum(len(one.test) for one in seen) == 100
    for one in seen:
        assert {row.text for row in one.test}.isdisjoint(row.text for row in [*one.train, *one.validation])


def test_hold_out_measures_on_the_validation_rows(tmp_path: Path) -> None:
    asked = asked_for(data(tmp_path), None, {}, False)
    from attnkit.train.events import Say

    (part,) = held_out(read_source(asked.recipe, Say()), asked.recipe)
    assert part.test == part.validation and len(part.test) == 10 and len(part.train) == 80


def test_seeds_are_averaged_and_reported_one_by_one(tmp_path: Path) -> None:
    settings = {**SETTINGS, "learning_rate": 0.05, "space": {"model.embedding_width": [8]}}
    study = tune(data(tmp_path), out=tmp_path / "study", trials=1, final=False, tune_seeds=3, seed=5, **settings)
    (line,) = study.trials
    assert [point for point, _ in line["course"]] == [1, 2, 3]
    fixed = {**_fixed(line["setting"]), "learning_rate": 0.05}
    alone = [train(tmp_path / "data.csv", out=tmp_path / f"run{seed}", seed=seed, **fixed) for seed in (5, 6, 7)]
    figures = [run.metrics["validation"]["accuracy"]["value"] for run in alone]
    assert len(set(figures)) > 1, "seeds that differ in nothing prove nothing"
    assert line["value"] == pytest.approx(sum(figures) / 3)
    assert line["course"][1][1] == pytest.approx(sum(figures[:2]) / 2)


def _fixed(setting: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in SETTINGS.items() if name not in ("space", "sampler", "pruner")}
    return {**kept, **setting}


def test_the_setting_without_tuning_goes_first_and_is_never_pruned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    monkeypatch.setattr(optuna.Trial, "should_prune", lambda trial: True)
    space = {"learning_rate": {"low": 0.0001, "high": 0.05, "log": True}, "dropout": {"low": 0.0, "high": 0.9}}
    settings = {**SETTINGS, "space": space, "learning_rate": "auto"}
    del settings["dropout"]
    study = tune(data(tmp_path), out=tmp_path / "study", trials=3, final=False, **settings)
    assert [line["state"] for line in study.trials] == ["complete", "pruned", "pruned"]
    first = study.trials[0]
    assert first["default"] and first["setting"]["train.learning_rate"] == 0.002
    assert study.leaderboard["default"] == 0


def test_a_grid_is_tried_to_its_end_and_cut_at_random(tmp_path: Path) -> None:
    source = data(tmp_path)
    settings = {**SETTINGS, "sampler": "grid", "final": False}
    settings["space"] = {
        "model.embedding_width": [4, 6, 8],
        "train.label_smoothing": {"low": 0.0, "high": 0.5, "points": 2},
    }
    whole = tune(source, out=tmp_path / "whole", **settings)
    pairs = {
        (line["setting"]["model.embedding_width"], line["setting"]["train.label_smoothing"]) for line in whole.trials
    }
    assert len(whole.trials) == 6 and pairs == set(product((4, 6, 8), (0.0, 0.5)))
    part = tune(source, out=tmp_path / "part", trials=2, **settings)
    assert [line["setting"] for line in part.trials] == [line["setting"] for line in whole.trials[:2]]


@pytest.mark.parametrize("sampler", ["bayesian", "gp"])
def test_samplers_learn_from_what_was_tried(tmp_path: Path, sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A figure that only the learning rate decides draws later settings to the good rates."""
    monkeypatch.setattr(worker, "run_trial", _figure_of_rate)
    settings = {**SETTINGS, "sampler": sampler, "final": False}
    settings["space"] = {"learning_rate": {"low": 1e-4, "high": 1.0, "log": True}, "encoder": ["none", "cnn"]}
    del settings["encoder"]
    study = tune(data(tmp_path), out=tmp_path / "study", trials=26, **settings)
    values = [line["value"] for line in study.trials]
    assert sum(values[-8:]) / 8 > sum(values[:10]) / 10 + 0.1
    shares = study.leaderboard["importance"]["shares"]
    assert shares["train.learning_rate"] > 0.7 and sum(shares.values()) == pytest.approx(1.0)


def _figure_of_rate(recipe: Any, source: Any, parts: Any, *args: Any, **kwargs: Any) -> objective.Outcome:
    import math

    import torch

    from attnkit.tune.rows import Rows

    value = 1.0 - 0.45 * abs(math.log10(recipe.train.learning_rate) + 2)
    targets = torch.zeros(len(parts[0].test), dtype=torch.int64)
    right = (torch.arange(len(targets)) < value * len(targets)).double()
    rows = Rows(torch.stack([right, 1 - right], dim=1)[None], targets)
    return objective.Outcome(value, rows, {"parameters": 1, "epochs": 1.0})


def test_failures_are_kept_with_their_reason_and_stop_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = worker.run_trial, iter(range(9))
    errors = [FailedError("the loss is not finite at epoch 1"), RuntimeError("a kernel broke"), MemoryError("no room")]

    def breaking(*args: Any, **kwargs: Any) -> Any:
        number = next(calls)
        if number < len(errors):
            raise errors[number]
        return real(*args, **kwargs)

    monkeypatch.setattr(worker, "run_trial", breaking)
    study = tune(data(tmp_path), out=tmp_path / "study", trials=4, final=False, **SETTINGS)
    assert [line["state"] for line in study.trials] == ["failed", "failed", "failed", "complete"]
    reasons = [line["reason"] for line in study.trials]
    assert "not finite" in reasons[0] and reasons[1] == "RuntimeError: a kernel broke" and "MemoryError" in reasons[2]


def test_a_study_in_which_all_fails_says_so_and_keeps_the_account(tmp_path: Path) -> None:
    settings = {**SETTINGS, "encoder": "bilstm", "width": 7}
    with pytest.raises(FailedError, match="no setting could be measured") as caught:
        tune(data(tmp_path), out=tmp_path / "study", trials=2, **settings)
    assert "even" in str(caught.value) and "\n" not in str(caught.value)
    assert [line["state"] for line in Study.open(tmp_path / "study").trials] == ["impossible"] * 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"space": {"train.learning_rat": [0.1]}}, "'train.learning_rate'"),
        ({"space": {"train.learning_rate": {"low": 1.0, "high": 99.0}}}, "cannot be 99.0"),
        ({"space": {"model.width": [8, 16]}}, "given and searched"),
        ({"folds": 3}, "tune_folds"),
        ({"minutes": 1.0}, "tune_minutes"),
        ({"tune_folds": 1000, "tune_minutes": 1.0}, "tune_folds"),
        ({"tune_folds": 99}, "number of folds"),
        ({"trials": 3, "tune.trials": 4}, "given twice"),
        ({"workers": 0}, "workers"),
        ({"storage": "nonsense://here"}, "cannot be opened"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    source = data(tmp_path, 60)
    with pytest.raises(UsageError) as caught:
        tune(source, out=tmp_path / "new" / "study", **{**SETTINGS, "trials": 1, **change})
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()
