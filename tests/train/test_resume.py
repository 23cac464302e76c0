"""A run that was stopped, however roughly, ends with the weights of one that was not."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from attnkit.errors import UsageError
from attnkit.run.checkpoint import load_checkpoint, read_tensors, save_checkpoint
from attnkit.run.log import read_log
from attnkit.train import Interrupted, load, train
from attnkit.train.events import Event, Listener
from tests.train.small import SMALL, small_data

SETTINGS = {**SMALL, "epochs": 3, "checkpoint_every_steps": 2, "ema_decay": 0.5}


class Crash(Exception):
    """Stands for anything that ends a process in the middle of a step."""


def stop_at(step: int, kind: str = "step", with_signal: bool = False) -> Listener:
    def listen(event: Event) -> None:
        if event.kind == kind and event.values["step"] == step:
            if not with_signal:
                raise Crash
            os.kill(os.getpid(), signal.SIGINT)

    return listen


def weights_of(path: Path) -> dict[str, torch.Tensor]:
    return read_tensors(path / "model" / "weights.safetensors")[0]


def assert_same_end(path: Path, other: Path) -> None:
    one, two = weights_of(path), weights_of(other)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
    lines = [
        [(e["step"], e["loss"]) for e in read_log(place / "log.jsonl") if e["event"] == "step"]
        for place in (path, other)
    ]
    assert lines[0] == lines[1]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    return train(small_data(folder), out=folder / "run", **SETTINGS).path


@pytest.mark.parametrize(
    ("step", "kind"), [(1, "step"), (5, "step"), (8, "step"), (8, "evaluation"), (24, "evaluation")]
)
def test_resume_after_a_crash_is_bit_equal(tmp_path: Path, whole: Path, step: int, kind: str) -> None:
    source = small_data(tmp_path)
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=stop_at(step, kind), **SETTINGS)
    torch.manual_seed(step)
    train(source, out=tmp_path / "run", resume=True, **SETTINGS)
    assert_same_end(tmp_path / "run", whole)


def test_what_is_not_said_again_stays_as_it_was_begun(tmp_path: Path, whole: Path) -> None:
    source = small_data(tmp_path)
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=stop_at(5), **SETTINGS)
    train(source, out=tmp_path / "run", resume=True, epochs="auto")
    assert_same_end(tmp_path / "run", whole)


def test_a_run_is_trained_by_one_at_a_time(tmp_path: Path, whole: Path) -> None:
    source = small_data(tmp_path)
    refused = []

    def second(event: Event) -> None:
        if event.kind == "step" and event.values["step"] == 5:
            with pytest.raises(UsageError, match="another process") as caught:
                train(source, out=tmp_path / "run", resume=True, **SETTINGS)
            refused.append(str(caught.value))

    run = train(source, out=tmp_path / "run", progress=second, **SETTINGS)
    assert len(refused) == 1 and "\n" not in refused[0]
    assert not (run.path / "lock").exists()
    assert_same_end(run.path, whole)


def test_two_crashes_and_a_crash_before_the_first_checkpoint(tmp_path: Path, whole: Path) -> None:
    source = small_data(tmp_path)

    def at_start(event: Event) -> None:
        if event.kind == "start":
            raise Crash

    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=at_start, **SETTINGS)
    for step in (3, 11):
        with pytest.raises(Crash):
            train(source, out=tmp_path / "run", resume=True, progress=stop_at(step), **SETTINGS)
    train(source, out=tmp_path / "run", resume=True, **SETTINGS)
    assert_same_end(tmp_path / "run", whole)


def test_ctrl_c_saves_and_leaves_a_model_that_predicts(tmp_path: Path, whole: Path) -> None:
    source = small_data(tmp_path)
    with pytest.raises(Interrupted, match="--resume") as caught:
        train(source, out=tmp_path / "run", progress=stop_at(13, with_signal=True), **SETTINGS)
    partial = Path(caught.value.path)
    assert partial.name == "run.partial" and not (tmp_path / "run").exists()
    # The step under way is finished and saved: the next one is the first to be done again.
    assert [e["step"] for e in read_log(partial / "log.jsonl") if e["event"] == "step"] == list(range(1, 14))
    assert load(partial).predict(["a good film"])[0].label in ("pos", "neg")
    train(source, out=tmp_path / "run", resume=True, **SETTINGS)
    assert_same_end(tmp_path / "run", whole)


def test_a_killed_process_goes_on_bit_equal(tmp_path: Path, whole: Path) -> None:
    source = small_data(tmp_path)
    script = (
        "import sys, time\nfrom attnkit.train import train\nfrom tests.train.test_resume import SETTINGS\n"
        "def slow(event):\n    if event.kind == 'step':\n"
        "        print(event.values['step'], flush=True); time.sleep(0.05)\n"
        "train(sys.argv[1], out=sys.argv[2], resume=True, progress=slow, **SETTINGS)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(["src", ".", os.environ.get("PYTHONPATH", "")])}
    for kill_after in (4, 9):
        process = subprocess.Popen(
            [sys.executable, "-c", f"import torch; torch.set_num_threads({torch.get_num_threads()})\n{script}",
             str(source), str(tmp_path / "run")],
            stdout=subprocess.PIPE, text=True, env=environment, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert process.stdout is not None
        for _ in range(kill_after):
            process.stdout.readline()
        time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (tmp_path / "run").exists()
    train(source, out=tmp_path / "run", resume=True, **SETTINGS)
    assert_same_end(tmp_path / "run", whole)


def test_resume_of_a_finished_run_gives_it_back(tmp_path: Path) -> None:
    source = small_data(tmp_path, 40)
    run = train(source, out=tmp_path / "run", **SMALL)
    before = weights_of(run.path)
    assert train(source, out=tmp_path / "run", resume=True, **SMALL).path == run.path
    assert train(source, out=tmp_path / "run", resume=True, epochs="auto").path == run.path
    with pytest.raises(UsageError, match="trained with epochs = 2 and is finished, so 3 changes nothing"):
        train(source, out=tmp_path / "run", resume=True, epochs=3)
    assert all(torch.equal(before[name], value) for name, value in weights_of(run.path).items())


def test_resume_refuses_other_settings_and_other_data(tmp_path: Path) -> None:
    source = small_data(tmp_path)
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=stop_at(5), **SETTINGS)
    with pytest.raises(UsageError, match="unfinished run"):
        train(source, out=tmp_path / "run", **SETTINGS)
    with pytest.raises(UsageError, match="batch_rows = 8"):
        train(source, out=tmp_path / "run", resume=True, **{**SETTINGS, "batch_rows": 4})
    # What is given counts even where it is what would have been taken without it.
    with pytest.raises(UsageError, match="begun with patience = 9 and cannot go on with 3"):
        train(source, out=tmp_path / "run", resume=True, **{**SETTINGS, "patience": 3})
    (tmp_path / "recipe.toml").write_text("[train]\nema_decay = 0.0\n", "utf-8")
    with pytest.raises(UsageError, match="ema_decay = 0.5"):
        train(source, recipe=tmp_path / "recipe.toml", out=tmp_path / "run", resume=True)
    with open(source, "a", encoding="utf-8") as file:
        file.write("a new row,pos\n")
    with pytest.raises(UsageError, match="changed since"):
        train(source, out=tmp_path / "run", resume=True, **SETTINGS)


def test_resume_follows_data_that_moved_and_refuses_other_data(tmp_path: Path, whole: Path) -> None:
    source = small_data(tmp_path)
    heard: list[str] = []
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=stop_at(5), **SETTINGS)
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="or is other data"):
        train(small_data(tmp_path / "other", 40), out=tmp_path / "run", resume=True, **SETTINGS)
    # What a process killed while writing leaves behind.
    (tmp_path / "run.partial" / "checkpoint.safetensors.1.partial").write_bytes(b"half")
    moved = source.rename(tmp_path / "other" / "moved.csv")
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        run = train(
            moved, out=tmp_path / "run", resume=True, progress=lambda e: heard.append(str(e.values)), **SETTINGS
        )
    finally:
        torch.set_num_threads(threads)
    assert_same_end(tmp_path / "run", whole)
    assert any(f"computing with {threads} threads" in said for said in heard)
    assert not list(run.path.rglob("*.partial"))
    # What was inferred at the beginning stands in the report all the same.
    assert "The text is the column &#x27;text&#x27;" in (run.path / "report.html").read_text("utf-8")


def test_a_refusal_after_the_first_step_keeps_what_was_trained(tmp_path: Path) -> None:
    def refuse(event: Event) -> None:
        if event.kind == "stop":
            raise UsageError("no")

    with pytest.raises(UsageError, match="no"):
        train(small_data(tmp_path), out=tmp_path / "run", progress=refuse, **SMALL)
    assert (tmp_path / "run.partial" / "checkpoint.safetensors").exists()


def test_a_damaged_checkpoint_is_one_sentence(tmp_path: Path) -> None:
    source = small_data(tmp_path)
    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=stop_at(5), **SETTINGS)
    checkpoint = tmp_path / "run.partial" / "checkpoint.safetensors"
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[: len(content) // 2])
    with pytest.raises(UsageError, match="not a whole safetensors file"):
        train(source, out=tmp_path / "run", resume=True, **SETTINGS)


def test_folds_go_on_where_they_stopped(tmp_path: Path) -> None:
    source = small_data(tmp_path, 48)
    settings = {**SMALL, "epochs": 1, "folds": 3}
    whole = train(source, out=tmp_path / "whole", **settings)
    steps: list[int] = []

    def crash_in_the_second_fold(event: Event) -> None:
        if event.kind == "step":
            steps.append(event.values["step"])
            if steps.count(2) == 2:
                raise Crash

    with pytest.raises(Crash):
        train(source, out=tmp_path / "run", progress=crash_in_the_second_fold, **settings)
    first = tmp_path / "run.partial" / "folds" / "01.safetensors"
    kept = load_checkpoint(first)
    assert kept.facts["seconds"] > 0
    save_checkpoint(first, kept.groups, {**kept.facts, "seconds": 1000.0})
    run = train(source, out=tmp_path / "run", resume=True, **settings)
    assert 1000 < run.machine["seconds"] < 2000
    assert run.machine["last_process"].keys() == {"processor_seconds", "peak_bytes"}
    assert run.metrics["folds"] == whole.metrics["folds"]
    assert run.metrics["test"] == whole.metrics["test"]
