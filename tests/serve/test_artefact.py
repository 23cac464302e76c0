"""What was shipped is served as its run is: bundles in batches, int8 one by one."""

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from attnkit.bundle import open_artefact
from attnkit.errors import UsageError
from attnkit.serve.models import open_models
from attnkit.serve.settings import Batching, Settings
from attnkit.ship.predictor import open_answers
from attnkit.train.predictor import load
from tests.serve.serving import running
from tests.serve.test_api import fault
from tests.verbs.calling import attn, review_rows

TEXTS = [text for text, _ in review_rows(40, seed=5)] + ["", "nothing known", "lovely " * 300]


@pytest.fixture(scope="module")
def shipped(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("shipped")
    made = {"bundle": folder / "bundle.pyz", "int8": folder / "int8"}
    to = {"bundle": ["--to", "bundle", "--attention"], "int8": ["--to", "onnx", "--precision", "int8", "--budget", "1"]}
    for name, words in to.items():
        ended = attn("ship", trained, *words, "--out", made[name])
        assert ended.code == 0, ended.err
    return made


def test_a_bundle_answers_in_batches_as_its_run_does(trained: Path, shipped: dict[str, Path]) -> None:
    wanted = load(trained).predict(TEXTS)
    with running(open_models([shipped["bundle"]]), Settings(Batching(16, 20), drain_seconds=0)) as served:
        found = served.client.post("/predict/batch", json={"texts": TEXTS}).json()
        assert found["model"] == "bundle.pyz"
        for one, prediction in zip(wanted, found["predictions"], strict=True):
            assert prediction["probabilities"] == pytest.approx(one.probabilities, abs=1e-5)
        assert [prediction["cut"] > 0 for prediction in found["predictions"]] == [False] * 42 + [True]
        looked = served.client.post("/attention", json={"text": TEXTS[0]}).json()
        assert "".join(piece["text"] for piece in looked["pieces"]) == TEXTS[0]
        (told,) = served.client.get("/model").json()["models"]
        assert (told["run"], told["attention"], told["source"]) == ("run", True, "onnx, float32")
        assert told["figures"]["measures"][0]["name"] == "accuracy"
        rows = served.client.post("/predict/file", params={"name": "a.csv"}, content=b"text\nlovely film\n").text
        assert rows.startswith("text,prediction,probability\nlovely film,")


def test_int8_of_eight_bits_is_refused_where_they_overflow(
    shipped: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = json.loads((shipped["int8"] / "artefact.json").read_bytes())
    cases = ((False, True, False), (True, True, True), (False, False, True), (False, None, True))
    for seven_bits, here, opens in cases:
        folder = tmp_path / f"{seven_bits}-{here}"
        shutil.copytree(shipped["int8"], folder)
        contract["made"]["seven_bits"] = seven_bits
        (folder / "artefact.json").write_text(json.dumps(contract))
        monkeypatch.setattr("attnkit.bundle.processor.saturates", lambda here=here: here)
        for opened in (open_artefact, open_answers):
            with nullcontext() if opens else pytest.raises(UsageError, match="overflow"):
                opened(folder)


def test_int8_is_answered_one_by_one(shipped: dict[str, Path]) -> None:
    alone = open_artefact(shipped["int8"], threads=1)
    models = open_models([shipped["int8"]])
    sizes: list[int] = []
    model: Any = models["int8"]
    answer = model.answer
    model.answer = lambda items: sizes.append(len(items)) or answer(items)
    with running(models, Settings(Batching(16, 20), drain_seconds=0)) as served:
        found = served.client.post("/predict/batch", json={"texts": TEXTS}).json()["predictions"]
        refused = fault(served.client.post("/attention", json={"text": "a"}), 422)
        assert "shipped without its attention" in refused
    assert set(sizes) == {1}
    for text, one in zip(TEXTS, found, strict=True):
        assert one["probabilities"] == pytest.approx(alone.predict([text])[0]["probabilities"], abs=1e-5)


def test_a_task_of_what_was_shipped_is_refused(shipped: dict[str, Path]) -> None:
    with pytest.raises(UsageError, match="shipped for one task"):
        open_models([shipped["bundle"]], task="x")
    with pytest.raises(UsageError, match="given twice"):
        open_models([shipped["bundle"], shipped["bundle"]])
