"""Runtimes of small devices: their lengths, their process, and what is said where a model or the tools do not fit.

The converters stand in an environment of their own, so their place is taken here by a few lines that keep and run the
programs with torch; with ATTNKIT_LITERT_ENV or ATTNKIT_EXECUTORCH_ENV set, the slow tests ask the real ones.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attnkit.errors import FailedError, UsageError
from attnkit.run.directory import Run
from attnkit.ship.edge.buckets import bucket_for, buckets
from attnkit.ship.edge.tools import Tools
from attnkit.ship.edge.unrolled_lstm import UnrolledLSTM
from attnkit.ship.shipping import Wishes, open_shipped, ship, verify_shipped
from attnkit.train import load, train
from tests.verbs.calling import attn, review_csv

SMALL: dict[str, Any] = {"embedding_width": 8, "width": 8, "epochs": 1, "wide_ngrams": 0, "max_tokens": 20}
CONVERTER = """
import io, pathlib, torch, zipfile
class Held:
    def __init__(self): self.parts = []
    def signature(self, name, module, given):
        self.parts.append((name, module, given)); return self
    def convert(self): return self
    def export(self, path):
        if pathlib.Path({broken!r}).exists(): raise ValueError("the converter is out of order")
        with zipfile.ZipFile(path, "w") as whole:
            for name, module, given in self.parts:
                held = io.BytesIO(); torch.export.save(torch.export.export(module, given), held)
                whole.writestr(name, held.getvalue())
def signature(name, module, given): return Held().signature(name, module, given)
"""
RUNTIME = """
import io, pathlib, torch, zipfile
class Interpreter:
    def __init__(self, path, num_threads):
        print("noise that must not stand between the answers")
        with zipfile.ZipFile(path) as whole:
            self.parts = {name: torch.export.load(io.BytesIO(whole.read(name))).module() for name in whole.namelist()}
    def get_signature_list(self): return {name: {} for name in self.parts}
    def get_signature_runner(self, name): return Runner(self.parts[name])
class Runner:
    def __init__(self, module): self.module = module
    def get_input_details(self): return {"args_0": None}
    def __call__(self, args_0):
        if pathlib.Path({broken!r}).exists(): raise SystemExit("the runtime is out of order")
        return {f"output_{n}": one.detach().numpy() for n, one in enumerate(self.module(torch.from_numpy(args_0)))}
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("edge")
    (folder / "reviews.csv").write_text(review_csv(), "utf-8")
    return {
        encoder: train(folder / "reviews.csv", out=folder / encoder, encoder=encoder, **SMALL)
        for encoder in ("transformer", "bilstm")
    }


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment whose interpreter is this one, with stand-ins for the packages; a file `broken` breaks them."""
    place = tmp_path_factory.mktemp("tools")
    for name, content in (("litert_torch", CONVERTER), ("ai_edge_litert", ""), ("ai_edge_litert/interpreter", RUNTIME)):
        package = place / "packages" / name.partition("/")[0]
        package.mkdir(parents=True, exist_ok=True)
        file = package / ("interpreter.py" if "/" in name else "__init__.py")
        file.write_text(content.replace("{broken!r}", repr(str(place / "broken"))), "utf-8")
    (place / "bin").mkdir()
    python = place / "bin" / "python"
    packages = place / "packages"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{packages}" exec "{sys.executable}" "$@"\n', "utf-8")
    python.chmod(0o755)
    return place


def test_lengths_halve_and_each_text_takes_the_shortest_that_holds_it() -> None:
    assert buckets(128) == (16, 32, 64, 128) and buckets(400) == (50, 100, 200, 400)
    assert buckets(20) == (10, 20) and buckets(9) == (9,) and buckets(1) == (1,)
    assert [bucket_for(n, (10, 20)) for n in (0, 10, 11, 20)] == [10, 10, 20, 20]


def test_an_unrolled_lstm_is_the_lstm() -> None:
    torch.manual_seed(0)
    inner, x_BTM = nn.LSTM(5, 6, batch_first=True), torch.randn(2, 9, 5)
    torch.testing.assert_close(UnrolledLSTM(inner)(x_BTM)[0], inner(x_BTM)[0])


def test_it_is_shipped_verified_and_opened_again_and_failures_are_told(
    runs: dict[str, Run], tools: Path, tmp_path: Path
) -> None:
    run, out = runs["transformer"], tmp_path / "shipped"
    shipped = ship(run, out, Wishes("litert", attention=True, tools_env=tools))
    assert shipped.verification.passed and len(shipped.verification.compared) > 5
    contract = json.loads((out / "artefact.json").read_text("utf-8"))
    assert [one["shape"] for one in contract["inputs"]] == [[1, 10], [1, 20]]
    texts = ["a fine plot", "", "dull " * 15, "中文 film"]
    opened = open_shipped(out, tools)
    np.testing.assert_allclose(opened.logits(texts), load(run).logits(texts).numpy(), atol=1e-5)
    np.testing.assert_allclose(opened.attention(texts[0]).weights, load(run).attention(texts[0]).weights, atol=1e-5)
    with pytest.raises(UsageError, match="--tools-env"):
        verify_shipped(out, run.path)
    (tools / "broken").touch()
    try:
        with pytest.raises(FailedError, match="the runtime of the shipped model ended: the runtime is out of order"):
            opened.logits(["a"])
        with pytest.raises(FailedError, match="as litert-torch says: ValueError: the converter is out of order"):
            ship(run, tmp_path / "again", Wishes("litert", tools_env=tools))
    finally:
        (tools / "broken").unlink()
    assert not (tmp_path / "again").exists()


def test_tools_that_are_not_there_are_named(runs: dict[str, Run], tools: Path, tmp_path: Path) -> None:
    run = runs["transformer"].path
    assert "--tools-env" in attn("ship", run, "--to", "litert", "--out", tmp_path / "out").fault
    assert "holds no Python" in attn("ship", run, "--to", "litert", "--tools-env", tmp_path).fault
    assert "lacks executorch" in attn("ship", run, "--to", "executorch", "--tools-env", tools).fault
    assert "needs no tools" in attn("ship", run, "--to", "onnx", "--tools-env", tools).fault
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\nexit 3\n", "utf-8")
    (tmp_path / "bin" / "python").chmod(0o755)
    with pytest.raises(UsageError, match="does not start"):
        Tools(tmp_path, ("litert-torch",))


def test_a_model_of_two_lengths_or_of_wide_keys_is_refused_with_the_reason(tools: Path, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text(review_csv(), "utf-8")
    for name, more, said in (
        ("wide", {"wide_ngrams": 2}, "wide branch"),
        ("documents", {"hierarchical": True, "ngrams": 0}, "two lengths"),
    ):
        run = train(tmp_path / "reviews.csv", out=tmp_path / name, **{**SMALL, "encoder": "cnn", **more})
        with pytest.raises(UsageError, match=said):
            ship(run, tmp_path / "out", Wishes("litert", tools_env=tools))
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.parametrize("target", ["litert", "executorch"])
@pytest.mark.parametrize("encoder", ["transformer", "bilstm"])
def test_the_real_tools_give_the_same_answers(runs: dict[str, Run], tmp_path: Path, target: str, encoder: str) -> None:
    named = os.environ.get(f"ATTNKIT_{target.upper()}_ENV")
    if not named:
        pytest.skip(f"ATTNKIT_{target.upper()}_ENV names no environment with the tools of {target}")
    wishes = Wishes(target, attention=encoder == "transformer", tools_env=Path(named))
    assert ship(runs[encoder], tmp_path / "shipped", wishes).verification.passed
