"""attn bench: each form of a run beside the run itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from attnkit.errors import UsageError
from attnkit.run.directory import Run
from attnkit.ship.bench.bench import bench
from attnkit.ship.bench.forms import forms
from attnkit.ship.bench.peak import peak_of
from attnkit.ship.bench.timing import latencies
from attnkit.ship.shipping import Wishes, ship
from attnkit.ship.targets import TARGETS
from attnkit.train import train
from attnkit.train.evaluation import evaluate
from tests.verbs.calling import attn, review_csv

SMALL: dict[str, Any] = {"embedding_width": 8, "width": 8, "epochs": 2, "wide_ngrams": 0, "max_tokens": 20}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("bench")
    (folder / "reviews.csv").write_text(review_csv(), "utf-8")
    return train(folder / "reviews.csv", out=folder / "run", encoder="cnn", **SMALL)


@pytest.fixture(scope="module")
def worse(run: Run) -> Run:
    return train(
        run.path.parent / "reviews.csv", out=run.path.parent / "worse", encoder="cnn", **{**SMALL, "epochs": 0}
    )


def test_each_form_stands_beside_the_run(run: Run, worse: Run, tmp_path: Path) -> None:
    ship(run, tmp_path / "shipped", Wishes("onnx", "int8", budget=1.0))
    ship(run, tmp_path / "program", Wishes("torch"))
    also = [worse.path, tmp_path / "shipped", tmp_path / "program"]
    found = bench(run, wanted=["onnx", "bfloat16", "litert"], also=also, seconds=0.05, allow_code=True)
    lines = {line.name: line for line in found.lines}
    assert list(lines) == ["eager", "onnx", "bfloat16", "litert", "worse", "shipped", "program"]
    eager = lines["eager"]
    assert eager.measure is not None and eager.measure["value"] == evaluate(run).measures["accuracy"].value
    assert eager.difference == {"value": 0.0, "low": 0.0, "high": 0.0} and eager.largest_difference == 0
    assert eager.size == (run.path / "model" / "weights.safetensors").stat().st_size
    assert lines["onnx"].largest_difference is not None and lines["onnx"].largest_difference < 1e-5
    assert lines["program"].largest_difference is not None and lines["program"].largest_difference < 1e-5
    assert lines["bfloat16"].largest_difference is not None and lines["bfloat16"].largest_difference > 1e-5
    other = lines["worse"]
    assert other.measure is not None and other.measure["value"] == evaluate(worse).measures["accuracy"].value
    assert other.difference is not None and other.difference["value"] == pytest.approx(
        other.measure["value"] - eager.measure["value"]
    )
    assert lines["shipped"].attention is False and lines["onnx"].attention is True
    assert "--tools-env" in lines["litert"].status and lines["litert"].measure is None
    for line in found.lines:
        if line.measure is not None:
            assert {"1", "32"} == set(line.latency) and all(one.calls >= 10 for one in line.latency.values())
    # What opens a program of torch can be made to execute code.
    for words in (["verify", tmp_path / "program"], ["predict", tmp_path / "program", "a text"]):
        assert "--allow-code" in attn(*words).fault
    assert attn("verify", tmp_path / "program", "--allow-code").code == 0
    assert "--rows" in attn("verify", tmp_path / "shipped", "--rows", -1).fault
    # A process with onnxruntime alone holds less than one with torch.
    if eager.peak_bytes is not None and lines["onnx"].peak_bytes is not None:
        assert lines["onnx"].peak_bytes < eager.peak_bytes
    json.dumps(found.to_dict())


def test_what_stands_beside_reads_texts_its_own_way(run: Run, tmp_path: Path) -> None:
    # Another vocabulary gives other ids, and another name would be taken twice.
    folder = tmp_path / "run"
    few = train(run.path.parent / "reviews.csv", out=folder, encoder="cnn", vocabulary_size=12, **SMALL)
    turned = tmp_path / "turned.csv"
    turned.write_text(review_csv().replace(",good", ",fine").replace(",bad", ",poor"), "utf-8")
    other = train(turned, out=tmp_path / "onnx", encoder="cnn", **SMALL)
    found = bench(run, wanted=["onnx"], also=[few.path, run.path, other.path], seconds=0.01)
    lines = {line.name: line for line in found.lines}
    assert list(lines) == ["eager", "onnx", "run", "run-2", "onnx-2"]
    assert lines["run"].measure is not None and lines["run-2"].measure is not None
    assert lines["run"].measure["value"] == evaluate(few).measures["accuracy"].value
    assert lines["run-2"].largest_difference == 0.0
    assert "other labels" in lines["onnx-2"].status and lines["onnx-2"].measure is None


def test_a_process_that_fails_says_why(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    form = forms(run, [], [], {}, 1, None)[0].make()
    with pytest.warns(UserWarning, match="memory of eager is not known.*there is no run"):
        assert peak_of(replace(form, run=run.path / "gone"), "eager", 1, 4, 1) is None


def test_sides_are_called_in_turn_and_the_first_is_its_own_measure() -> None:
    heard: list[str] = []
    found = latencies({"one": lambda: heard.append("one"), "two": lambda: heard.append("two")}, 1e-9)
    assert found["one"].ratio == found["one"].ratio_low == found["one"].ratio_high == 1.0
    # Ten rounds, in turned order: as often the one before the other as behind it.
    assert heard[-20:] == ["one", "two", "two", "one"] * 5


def test_the_verb_prints_a_table_and_refuses_in_a_sentence(run: Run, tmp_path: Path) -> None:
    ended = attn("bench", run.path, "--forms", "onnx", "--seconds", 0.01, "--rows", 10)
    assert ended.code == 0, ended.err
    assert "beside eager" in ended.out and "onnx" in ended.out and "10 of its" in ended.out
    told = json.loads(attn("bench", run.path, "--forms", "", "--seconds", 0.01, "--json").out)
    assert [line["name"] for line in told["lines"]] == ["eager"]
    assert "no form 'onyx'" in attn("bench", run.path, "--forms", "onyx").fault
    assert "--also" in attn("bench", run.path, "--also", tmp_path / "gone").fault
    assert "--tokens takes 1 to 20" in attn("bench", run.path, "--tokens", 21).fault
    with pytest.raises(UsageError, match="there is no run"):
        bench(tmp_path / "gone")


def test_what_has_no_form_is_told_and_the_others_go_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*given: Any) -> bytes:
        raise RuntimeError("a converter stumbled")

    monkeypatch.setattr(TARGETS["onnx"], "make", broken)
    found = bench(run, wanted=["onnx", "bfloat16"], seconds=0.01)
    assert [line.status for line in found.lines] == ["ready", "a converter stumbled", "ready"]
