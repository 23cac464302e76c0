"""A bundle predicts where there is neither attnkit nor torch, and is opened without being executed."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import attnkit
from attnkit.bundle import open_artefact
from attnkit.bundle.contents import Contents
from attnkit.errors import UsageError
from attnkit.ship.folder import bundled

TEXTS = ["a good film", "the plot was dull and cold", "", "中文 ünknown"]
ABSENT = ("torch", "scipy", "sklearn", "pydantic", "safetensors", "matplotlib", "onnx", "onnxscript", "transformers")
# Runs a bundle as `python NAME.pyz` does, where importing what it must not need fails, and attnkit is its own.
ALONE = f"""
import runpy, sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {ABSENT!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
sys.path = [place for place in sys.path if not place.endswith("src")]
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
finally:
    assert sys.argv[0] in sys.modules["attnkit"].__file__, sys.modules["attnkit"].__file__
"""


def alone(bundle: Path, *words: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-I", "-c", ALONE, str(bundle), *map(str, words)]
    return subprocess.run(call, input=stdin, capture_output=True, text=True, timeout=120)


def test_it_predicts_alone_what_its_run_predicts(run: Path, bundle: Path) -> None:
    ended = alone(bundle, *TEXTS, "--json", "--attention", "--threads", 1)
    assert ended.returncode == 0, ended.stderr
    predictor = attnkit.load(run)
    for told, wanted, text in zip(json.loads(ended.stdout), predictor.predict(TEXTS), TEXTS, strict=True):
        assert told["text"] == text and told["label"] == wanted.label
        assert told["probabilities"] == pytest.approx(wanted.probabilities, abs=1e-5)
        looked = predictor.attention(text)
        assert [token for token, _ in told["attention"]] == looked.tokens
        assert [weight for _, weight in told["attention"]] == pytest.approx(looked.weights, abs=1e-5)


def test_it_reads_lines_and_files_and_tells_its_card(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("a good film\nso dull\n", encoding="utf-8")
    of_file, of_lines = alone(bundle, "--file", tmp_path / "texts.txt"), alone(bundle, stdin="a good film\nso dull\n")
    assert of_file.returncode == 0 and of_file.stdout == of_lines.stdout and of_file.stdout.count("\t") == 4
    assert "## Intended use" in alone(bundle, "--card").stdout
    (tmp_path / "texts.csv").write_text("text\nfine\n", "utf-8")
    assert "columns" in alone(bundle, "--file", str(tmp_path / "texts.csv")).stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--file", "gone.txt"], "gone.txt"),
        (["a", "--file", "b.txt"], "together"),
        (["--threads", "0.5", "a"], "threads"),
    ],
)
def test_wrong_use_ends_with_2_and_a_sentence(bundle: Path, words: list[str], said: str) -> None:
    ended = alone(bundle, *words)
    assert ended.returncode == 2 and said in ended.stderr and "Traceback" not in ended.stderr


def test_opened_it_gives_the_logits_of_its_run(run: Path, bundle: Path) -> None:
    predictor, artefact = attnkit.load(run), open_artefact(bundle, threads=1)
    np.testing.assert_allclose(artefact.logits(TEXTS), predictor.logits(TEXTS).numpy(), atol=1e-5)
    assert artefact.classes == predictor.classes and artefact.kind == "single" and not artefact.paired


def test_opening_it_needs_no_torch_and_executes_nothing_in_it(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        held = {
            name: archive.read(name) for name in archive.namelist() if not name.startswith(("attnkit/", "__main__"))
        }
    hostile = tmp_path / "hostile.pyz"
    hostile.write_bytes(bundled(held))
    with zipfile.ZipFile(hostile, "a") as archive:
        archive.writestr("attnkit/bundle/evil.py", "raise SystemExit(3)")
        archive.writestr("numpy/__init__.py", "raise SystemExit(3)")
    code = (
        "import sys; from attnkit.bundle import open_artefact; "
        f"print(open_artefact({str(hostile)!r}).predict(['a good film'])[0]['label']); "
        "print([n for n in ('torch', 'pydantic', 'sklearn', 'scipy', 'onnx', 'matplotlib') if n in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines()[1] == "[]"


def changed(bundle: Path, out: Path, **changes: bytes | None) -> Path:
    with zipfile.ZipFile(bundle) as archive, zipfile.ZipFile(out, "w") as copy:
        for name in archive.namelist():
            content = changes.get(name.replace(".", "_"), archive.read(name))
            if content is not None:
                copy.writestr(name, content)
    return out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model_onnx": b"0"}, "model.onnx .* was changed"),
        ({"model_onnx": None}, "lacks model.onnx"),
        ({"tokenizer_json": b"{}"}, "tokenizer.json .* was changed"),
        ({"artefact_json": b"{"}, "contract .* cannot be read"),
        ({"artefact_json": b'{"format": 99}'}, "format 99"),
        ({"artefact_json": b"[]"}, "contract .* cannot be read"),
        ({"artefact_json": None}, "no artefact"),
    ],
)
def test_what_was_changed_or_lost_is_named(bundle: Path, tmp_path: Path, changes: dict[str, bytes], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        open_artefact(changed(bundle, tmp_path / "changed.pyz", **changes))


@pytest.mark.parametrize("name", ["path", "weights_sha256", "task", "schema"])
def test_a_contract_that_lost_what_its_run_was_is_refused(bundle: Path, tmp_path: Path, name: str) -> None:
    plain = json.loads(Contents(bundle).read("artefact.json"))
    for broken in (lambda: plain["source"].update({name: 3}), lambda: plain["source"].pop(name)):
        broken()
        other = changed(bundle, tmp_path / "changed.pyz", artefact_json=json.dumps(plain).encode())
        with pytest.raises(UsageError, match=f"contract .* cannot be read .*{name}"):
            open_artefact(other)


def test_what_is_no_artefact_is_refused(run: Path, tmp_path: Path) -> None:
    for path in (tmp_path / "gone", tmp_path, run / "recipe.toml", run):
        with pytest.raises(UsageError, match="artefact"):
            open_artefact(path)


def test_the_same_files_give_the_same_bytes() -> None:
    assert bundled({"a": b"1"}) == bundled({"a": b"1"})


@pytest.mark.slow
def test_in_a_fresh_environment_with_three_packages(run: Path, bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "fresh"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    python = place / "bin" / "python"
    subprocess.run([python, "-m", "pip", "-q", "install", "onnxruntime", "tokenizers", "numpy"], check=True)
    ended = subprocess.run([python, bundle, *TEXTS, "--json"], capture_output=True, text=True, check=True)
    for told, wanted in zip(json.loads(ended.stdout), attnkit.load(run).predict(TEXTS), strict=True):
        assert told["probabilities"] == pytest.approx(wanted.probabilities, abs=1e-5)
    listed = subprocess.run([python, "-m", "pip", "list"], capture_output=True, text=True, check=True).stdout
    assert "torch" not in listed and "attnkit" not in listed
