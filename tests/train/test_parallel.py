"""Several processes: the numbers of one, whatever each holds, stopped and gone on with in other numbers of them."""

import json
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.errors import FailedError, UsageError
from attnkit.run.checkpoint import read_tensors
from attnkit.run.directory import Run
from attnkit.run.log import read_log
from attnkit.train import Interrupted, load, train
from attnkit.train.events import Event, Listener
from attnkit.train.parallel import worker
from tests.train.small import BAD, FILLER, GOOD, SMALL, small_data
from tests.train.together import environment, train_together

# 64 training rows in batches of 9: the last batch has one row, which two processes cannot share.
SETTINGS: dict[str, Any] = {
    **SMALL,
    "encoder": "transformer",
    "heads": 2,
    "epochs": 3,
    "batch_rows": 9,
    "accumulate": 2,
    "dropout": 0.3,
    "ema_decay": 0.5,
    "class_weights": True,
    "checkpoint_every_steps": 2,
}
# Adam does not see by what a gradient is multiplied.
PLAIN = {"optimizer": "sgd", "learning_rate": 0.1, "clip_norm": 0.0}
STEPS = 24
Curve = list[tuple[int, float]]


def curve(path: Path) -> Curve:
    return [(line["step"], line["loss"]) for line in read_log(path / "log.jsonl") if line["event"] == "step"]


def assert_like(path: Path, other: Path) -> None:
    """The same steps, losses, evaluations and weights, up to the order in which numbers are added."""
    steps, others = curve(path), curve(other)
    assert [step for step, _ in steps] == [step for step, _ in others] == list(range(1, STEPS + 1))
    assert [loss for _, loss in steps] == pytest.approx([loss for _, loss in others], abs=2e-6)
    history, otherwise = Run(path).metrics["history"], Run(other).metrics["history"]
    for name in ("value", "loss", "train_loss", "best"):
        assert [line[name] for line in history] == pytest.approx([line[name] for line in otherwise], abs=2e-6)
    # Predictions, not weights: where a gradient is nothing but rounding, such as that of a bias that a softmax cancels,
    # Adam makes whole steps of it.
    texts = [" ".join(words) for words in zip(GOOD + BAD, FILLER, strict=True)]
    one, two = ([said.probabilities["pos"] for said in load(place).predict(texts)] for place in (path, other))
    assert one == pytest.approx(two, abs=2e-6)
    assert shapes(path) == shapes(other)


def shapes(path: Path) -> dict[str, torch.Size]:
    return {name: x.shape for name, x in read_tensors(path / "model" / "weights.safetensors")[0].items()}


class Crash(Exception):
    """Stands for anything that ends a process in the middle of a step."""


def crash_at(step: int) -> Listener:
    def listen(event: Event) -> None:
        if event.kind == "step" and event.values["step"] == step:
            raise Crash

    return listen


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of one process and of two, and such as were begun by one number of processes and killed."""
    folder = tmp_path_factory.mktemp("parallel")
    source = small_data(folder)
    train(source, out=folder / "one", **SETTINGS)
    train(source, out=folder / "one-sgd", **{**SETTINGS, **PLAIN})
    with pytest.raises(Crash):
        train(source, out=folder / "begun-by-one", progress=crash_at(11), **SETTINGS)
    with pytest.raises(Crash):
        train(source, out=folder / "whole", progress=crash_at(3), **{**SETTINGS, "accumulate": 1})
    left_open = {name: value for name, value in SETTINGS.items() if name != "accumulate"}
    calls = [
        {"out": folder / "two", **left_open},
        {"out": folder / "sharded", "sharded": True, **SETTINGS},
        {"out": folder / "two-sgd", **SETTINGS, **PLAIN},
        {"out": folder / "sharded-sgd", "sharded": True, **SETTINGS, **PLAIN},
        {"out": folder / "begun-by-one", "resume": True, **SETTINGS},
        {"out": folder / "whole", "resume": True},
        {"out": folder / "thirds", **SETTINGS, "accumulate": 3},
        {"out": folder / "muon", **SETTINGS, "sharded": True, "optimizer": "muon"},
        {"out": folder / "killed", "killed_at": 13, "sharded": True, **SETTINGS},
    ]
    codes, said = train_together(2, [{"data": source, **call} for call in calls])
    assert codes == [-signal.SIGKILL] * 2, said
    (folder / "said").write_text(said[1])
    return folder


def test_two_processes_equal_one_dropout_included(place: Path) -> None:
    assert_like(place / "two", place / "one")
    assert Run(place / "two").recipe.train.accumulate == 2 and Run(place / "two").machine["processes"] == 2
    assert "# chosen: 2 processes share a batch\naccumulate = 2" in (place / "two" / "recipe.toml").read_text()


def test_parts_of_weights_equal_whole_ones_and_leave_the_same_files(place: Path) -> None:
    assert_like(place / "sharded", place / "one")
    assert {path.name for path in (place / "sharded").rglob("*")} == {path.name for path in (place / "one").rglob("*")}


def test_gradients_are_as_long_as_those_of_one_process(place: Path) -> None:
    assert_like(place / "two-sgd", place / "one-sgd")
    assert_like(place / "sharded-sgd", place / "one-sgd")


def test_a_run_of_one_goes_on_in_two(place: Path) -> None:
    assert_like(place / "begun-by-one", place / "one")


def test_two_that_were_killed_go_on_as_one(place: Path) -> None:
    partial = place / "killed.partial"
    assert partial.exists() and len(curve(partial)) == 13
    heard: list[str] = []
    # A copy of what is killed: one process needs no parts.
    train(
        place / "data.csv",
        out=place / "killed",
        resume=True,
        progress=lambda event: heard.append(str(event.values)),
        **SETTINGS,
    )
    assert_like(place / "killed", place / "one")
    assert any("2 processes came so far, 1 go on" in said for said in heard)


def test_what_cannot_be_shared_or_cut_is_refused(place: Path) -> None:
    refused = [line for line in (place / "said").read_text().splitlines() if line.startswith("refused")]
    assert [line.partition("train.")[2].partition(" ")[0] for line in refused[:2]] == ["accumulate", "accumulate"]
    assert "train.accumulate = 1 is no multiple of 2 processes" in refused[0]
    assert "train.accumulate = 3 is no multiple of 2 processes" in refused[1]
    assert "'muon' reads whole matrices, which train.sharded leaves in parts" in refused[2] and len(refused) == 3
    # A run that was begun stays as it is, and one that was not leaves nothing.
    assert (place / "whole.partial" / "checkpoint.safetensors").exists()
    assert not list(place.glob("thirds*")) and not list(place.glob("muon*"))


def workers() -> dict[int, int]:
    """The processes that this one has launched, by rank."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (
                (folder / "environ").read_bytes().split(b"\0")
                if b"parallel.worker" in (folder / "cmdline").read_bytes()
                else []
            )
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        if words and parent == os.getpid():
            found[next(int(word[5:]) for word in words if word.startswith(b"RANK="))] = int(folder.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the launched processes are found in /proc")
def test_a_process_that_dies_ends_the_run_with_a_sentence(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    more = {**SETTINGS, "epochs": 3000, "patience": 10_000}
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setenv("TMPDIR", str(scratch))
    heard: list[str] = []

    def kill(event: Event) -> None:
        heard.append(event.kind)
        if heard.count("step") == 9 and event.kind == "step":
            os.kill(workers()[1], signal.SIGKILL)

    with pytest.raises(FailedError, match="process 1 of 2 ended with signal SIGKILL, .* --resume goes on") as caught:
        train(place / "data.csv", out=tmp_path / "run", processes=2, progress=kill, **more)
    assert "\n" not in str(caught.value) and not workers()
    done = len(curve(tmp_path / "run.partial"))
    assert done >= 9 and not (tmp_path / "run").exists()
    assert not list(scratch.iterdir())

    def stop(event: Event) -> None:
        if event.kind == "step" and event.values["step"] >= done:
            os.kill(os.getpid(), signal.SIGINT)

    # Ctrl-C, here in one process, which goes on where two were.
    with pytest.raises(Interrupted):
        train(place / "data.csv", out=tmp_path / "run", resume=True, progress=stop, **more)
    steps = [step for step, _ in curve(tmp_path / "run.partial")]
    # What was saved after the last step that was logged goes on with the next.
    assert steps == list(range(1, len(steps) + 1)) and len(steps) - done in (0, 1)


def test_a_process_whose_place_is_gone_ends_without_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one does that outlives the command: its folder was removed while it trained."""
    call = {"launcher": os.getppid(), "threads": torch.get_num_threads(), "data": None, "recipe": None, "options": {}}
    (tmp_path / "call.json").write_text(json.dumps(call))
    monkeypatch.setenv("RANK", "0")

    def gone(*given: Any, progress: Listener, **options: Any) -> None:
        shutil.rmtree(tmp_path)
        progress(Event("step", {}))

    monkeypatch.setattr(worker, "train", gone)
    assert worker.main(str(tmp_path)) == 1
    # Before it has begun, too.
    assert worker.main(str(tmp_path)) == 1


@pytest.mark.slow
def test_ctrl_c_saves_and_ends_all_processes(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])

    def stop(event: Event) -> None:
        if event.kind == "step" and event.values["step"] == 9:
            os.kill(os.getpid(), signal.SIGINT)

    more = {**SETTINGS, "epochs": 3000, "patience": 10_000}
    with pytest.raises(Interrupted, match="--resume") as caught:
        train(place / "data.csv", out=tmp_path / "run", processes=2, progress=stop, **more)
    partial = Path(caught.value.path)
    assert partial == tmp_path / "run.partial" and (partial / "checkpoint.safetensors").exists()
    steps = [step for step, _ in curve(partial)]
    assert steps == list(range(1, len(steps) + 1)) and len(steps) >= 9
    with pytest.raises(UsageError, match="missing.csv"):
        train(tmp_path / "missing.csv", out=tmp_path / "none", processes=2, **SETTINGS)
    assert not list(tmp_path.glob("none*"))


def test_numbers_of_processes_that_cannot_be_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"from 1 to \d+ on this machine of \d+ cores, and got 0"):
        train("data.csv", processes=0)
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="4 processes were launched and 2 are asked for"):
        train("data.csv", processes=2)
