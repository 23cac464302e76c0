"""What does not answer as its run is refused, whichever way it was broken, and nothing of it is left."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import attnkit
from attnkit.bundle import open_artefact
from attnkit.bundle.artefact import Artefact
from attnkit.bundle.contents import Contents
from attnkit.bundle.session import OnnxSession
from attnkit.data.encoding import Limits
from attnkit.data.tokens import fit
from attnkit.errors import FailedError, UsageError
from attnkit.run.directory import Run
from attnkit.ship import shipping
from attnkit.ship.rows import labeled_rows
from attnkit.ship.targets import TARGETS
from attnkit.ship.verify import Rows, Verification, verify
from attnkit.train.predictor import Predictor
from tests.ship.sessions import artefact_of
from tests.train.small import SMALL, sentences, small_data, write_csv


@pytest.fixture(scope="module")
def predictor(run: Path) -> Predictor:
    return attnkit.load(run)


@pytest.fixture(scope="module")
def rows(run: Path, predictor: Predictor) -> Rows:
    return labeled_rows(Run.open(run), predictor, None, None, 0)


def found(predictor: Predictor, artefact: Artefact, rows: Rows, **options) -> Verification:
    return verify(predictor, artefact, rows, **{"budget": 1e-5, **options})


def test_the_runs_own_network_passes_every_case(predictor: Predictor, rows: Rows) -> None:
    proof = found(predictor, artefact_of(predictor), rows)
    assert proof.passed and len(proof.compared) == 9 and all(one.changed == 0 for one in proof.compared)
    assert proof.of_run == proof.of_artefact and proof.of_run.n == len(rows.examples) and proof.changed_rows == 0
    by_name = {one.name: one for one in proof.compared}
    most = predictor.preprocessing.max_tokens
    assert by_name["an empty text"].tokens == 0 and by_name["one token"].tokens == 1
    assert by_name["longer than is read"].tokens == by_name["the longest that is read"].tokens == most


def blind(ids, keep):
    """An export that lost its mask."""
    return ids, torch.ones_like(keep)


def first_only(ids, keep):
    """An export whose batch became a constant."""
    return ids[:1].expand_as(ids), keep[:1].expand_as(keep)


def short(ids, keep):
    """An export whose length became a constant."""
    return ids, keep & (torch.arange(keep.shape[1]) < 4)


@pytest.mark.parametrize("change", [blind, first_only, short])
def test_a_network_that_lost_something_on_its_way_is_refused(predictor: Predictor, rows: Rows, change) -> None:
    proof = found(predictor, artefact_of(predictor, change), rows)
    assert not proof.passed and any("logits differ" in problem for problem in proof.problems)
    with pytest.raises(FailedError, match="does not answer as its run does: logits differ"):
        proof.require("this")


def test_swapped_labels_are_refused_though_every_logit_is_right(predictor: Predictor, rows: Rows) -> None:
    task = {**predictor.task.to_dict(), "classes": list(reversed(predictor.classes))}
    assert "its labels mean others" in found(predictor, artefact_of(predictor, task=task), rows).problems[0]


def test_other_limits_and_another_tokenizer_are_refused(predictor: Predictor, rows: Rows) -> None:
    limits = Limits(predictor.preprocessing.max_tokens - 1)
    assert "another part of a text" in found(predictor, artefact_of(predictor, limits=limits), rows).problems[0]
    artefact = artefact_of(predictor)
    artefact.tokenizer = fit("word", ["another good film"] * 3)
    assert not found(predictor, artefact, rows).passed


def test_attention_that_is_anothers_is_refused(predictor: Predictor, rows: Rows) -> None:
    artefact = artefact_of(predictor)
    inner = artefact._session

    class Flat:
        def run(self, ids, keep, outputs):
            given = inner.run(ids, keep, outputs)
            return [
                one if name == "logits" else keep / keep.sum(1, keepdims=True)
                for name, one in zip(outputs, given, strict=True)
            ]

    artefact._session = Flat()
    assert "attention differs" in found(predictor, artefact, rows).problems[0]

    class Lost:
        def run(self, ids, keep, outputs):
            given = dict(zip(outputs, inner.run(ids, keep, outputs), strict=True))
            if "attention" in given:
                given["attention"] = np.where(np.arange(ids.shape[1]) == 1, np.nan, given["attention"])
            return list(given.values())

    artefact._session = Lost()
    assert "attention differs by nan" in found(predictor, artefact, rows).problems[0]


def weights_changed(model: onnx.ModelProto) -> None:
    """The weights of the classifier, by a thousandth."""
    held = next(one for one in model.graph.initializer if one.name.endswith("head.weight"))
    held.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(held) * np.float32(1.001), held.name))


def opset_lowered(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 20


@pytest.mark.parametrize(("change", "said"), [(weights_changed, "logits differ"), (opset_lowered, "opset 20")])
def test_a_broken_onnx_file_is_refused_and_leaves_nothing(
    run: Path, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change, said: str
) -> None:
    model = onnx.load_from_string(Contents(bundle).read("model.onnx"))
    change(model)
    # A stand-in, as another opset may not load at all.
    session = OnnxSession(Contents(bundle).read("model.onnx") if change is opset_lowered else model.SerializeToString())
    monkeypatch.setattr(type(TARGETS["onnx"]), "make", lambda *_: model.SerializeToString())
    monkeypatch.setattr(type(TARGETS["onnx"]), "open", lambda *_: session)
    for to, name in (("onnx", "out"), ("bundle", "out.pyz")):
        with pytest.raises(FailedError, match=said):
            shipping.ship(run, tmp_path / name, shipping.Wishes(to=to))
    assert list(tmp_path.iterdir()) == []


def test_floor_and_loss_are_held(predictor: Predictor, rows: Rows) -> None:
    value = found(predictor, artefact_of(predictor), rows).of_run.value
    assert found(predictor, artefact_of(predictor), rows, floor=value, max_loss=0).passed
    assert "below the floor" in found(predictor, artefact_of(predictor), rows, floor=value + 0.01).problems[0]

    def unknown(ids, keep):
        return torch.ones_like(ids), keep

    proof = found(predictor, artefact_of(predictor, unknown), rows, budget=1e9, max_loss=0)
    assert proof.of_artefact.value < proof.of_run.value and "loses more than 0" in proof.problems[0]
    with pytest.raises(UsageError, match="no rows to hold"):
        found(predictor, artefact_of(predictor), Rows(missing="gone"), floor=0.5)
    assert found(predictor, artefact_of(predictor), Rows(missing="gone")).protocol == "not measured: gone"


def test_where_it_stands_it_is_verified_again(run: Path, bundle: Path, tmp_path: Path) -> None:
    assert shipping.verify_shipped(bundle).passed
    moved = tmp_path / "moved.pyz"
    moved.write_bytes(bundle.read_bytes())
    with pytest.raises(UsageError, match="--run"):
        shipping.verify_shipped(moved)
    assert shipping.verify_shipped(moved, run).passed
    artefact = open_artefact(moved)
    source = {**artefact.contract.source, "weights_sha256": "0"}
    from tests.ship.test_bundle import changed

    other = changed(
        bundle, tmp_path / "other.pyz", artefact_json=replace(artefact.contract, source=source).to_json().encode()
    )
    assert "not those it was shipped from" in shipping.verify_shipped(other, run).problems[0]


def test_a_place_that_is_taken_or_misnamed_is_refused_before_anything_is_done(run: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    for out, to, force, said in (
        (tmp_path / "full", "onnx", False, "already exists"),
        (tmp_path / "full", "onnx", True, "something else"),
        (tmp_path / "a.zip", "bundle", False, "ends in .pyz"),
        (tmp_path / "a.pyz", "onnx", False, "--to bundle"),
        (tmp_path / "gone" / "a", "onnx", False, "no folder"),
    ):
        with pytest.raises(UsageError, match=said):
            shipping.ship(run, out, shipping.Wishes(to=to), force=force)
    with pytest.raises(UsageError, match="cannot be shipped in 'int8'"):
        shipping.ship(run, tmp_path / "a", shipping.Wishes(to="torch", precision="int8"))
    assert [one.name for one in tmp_path.iterdir()] == ["full"]


@pytest.mark.parametrize("task", [None, "scores"])
def test_one_of_several_tasks_is_measured_on_its_own_rows(tmp_path: Path, task: str | None) -> None:
    data = small_data(tmp_path)
    other = write_csv(tmp_path / "scores.csv", [(text, str(len(text))) for text, _ in sentences(60, 3)])
    run = attnkit.train(data, also=[str(other)], out=tmp_path / "run", encoder="none", **{**SMALL, "wide_ngrams": 0})
    predictor = attnkit.load(run, task=task)
    proof = found(predictor, artefact_of(predictor), labeled_rows(run, predictor, task, None, 0))
    assert proof.passed and proof.measure == ("rmse" if task else "accuracy") and proof.of_run == proof.of_artefact
    assert predictor.task.outputs == (1 if task else 2)
    wrong = artefact_of(predictor, lambda ids, keep: (torch.ones_like(ids), keep))
    assert not found(predictor, wrong, Rows(missing="gone")).passed
