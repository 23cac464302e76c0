"""The small parts of training, each against plain arithmetic or an example by hand."""

import math
from pathlib import Path

import pytest
import torch

from attnkit.data.sentences import cut_sentences, split_sentences
from attnkit.errors import UsageError
from attnkit.run.checkpoint import load_checkpoint, save_checkpoint
from attnkit.run.directory import Run, default_path
from attnkit.run.log import Log, read_log
from attnkit.run.recipe import Recipe
from attnkit.run.record import read_record, write_record
from attnkit.train.choices import Choices
from attnkit.train.choose_batches import choose_batch_rows
from attnkit.train.choose_model import choose_model
from attnkit.train.choose_tokens import choose_lengths, choose_tokens
from attnkit.train.choose_training import choose_training
from attnkit.train.choose_wide import choose_wide_branch
from attnkit.train.prepare import data_sha256
from attnkit.train.wide import choose_wide


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("He left (late). Then\nmore", ["He left (late).", "Then", "more"]),
        ("很好。不错！再来", ["很好。", "不错！", "再来"]),
        ("a first line<br /><br />a second", ["a first line", "a second"]),
        ("pi is 3.14 today", ["pi is 3.14 today"]),
        (" \n ", []),
        ("", []),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


def test_long_sentences_go_on_as_the_next() -> None:
    assert cut_sentences([[1, 2, 3, 4, 5], [6]], 2, 99) == [[1, 2], [3, 4], [5], [6]]
    assert cut_sentences([[1, 2, 3, 4, 5], [6]], 2, 2) == [[1, 2], [3, 4]]


def test_the_data_choose_and_say_why() -> None:
    choices = Choices(Recipe().with_values({"epochs": 2}))
    choose_tokens(choices, 1000)
    choose_lengths(choices, [5] * 990 + [3000] * 10, paired=False)
    choose_wide_branch(choices, 1000, 5, classes=2, paired=False)
    choose_wide(choices, [[5, 6, 7]] * 1000, 10)
    choose_model(choices, 1000, 5)
    choose_batch_rows(choices, 1000, 5)
    choose_training(choices, 1000)
    recipe = choices.recipe
    assert recipe.train.epochs == 2 and "train.epochs" not in choices.reasons
    assert recipe.tokens.max_tokens == 8 and "10 of 1000" in choices.reasons["tokens.max_tokens"]
    left = [name for table in recipe.to_plain().values() for name, value in table.items() if value == "auto"]
    assert left == ["kind", "tokenizer", "batches"]
    assert all(reason for reason in choices.reasons.values())


def test_more_classes_take_more_epochs() -> None:
    epochs = []
    for classes in (2, 77):
        choices = Choices(Recipe().with_values({"batch_rows": 32}))
        choose_training(choices, 9000, classes)
        epochs.append(choices.recipe.train.epochs)
    assert epochs == [5, 11]


def test_long_documents_are_read_as_sentences_and_pairs_are_not() -> None:
    for paired in (False, True):
        choices = Choices(Recipe())
        choose_lengths(choices, [900] * 10, paired)
        assert choices.recipe.model.hierarchical is not paired


def test_a_log_is_cut_and_a_torn_line_is_left_out(tmp_path: Path) -> None:
    log = Log(tmp_path / "log.jsonl")
    log.write("one", {"x": 1})
    length = log.length_bytes()
    log.write("two", {"x": math.pi})
    log.cut(length)
    log.write("three", {})
    log.close()
    with open(tmp_path / "log.jsonl", "ab") as file:
        file.write(b'{"event": "tor')
    assert [line["event"] for line in read_log(tmp_path / "log.jsonl")] == ["one", "three"]


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path: Path) -> None:
    shared = torch.arange(3.0)
    save_checkpoint(tmp_path / "c.safetensors", {"a": {"x": shared}, "b": {"x": shared, "y/z": shared[1:]}}, {"n": 0.1})
    back = load_checkpoint(tmp_path / "c.safetensors")
    assert back.facts == {"n": 0.1} and torch.equal(back.groups["b"]["y/z"], shared[1:])
    assert torch.equal(back.groups["a"]["x"], shared)


def test_records_refuse_edits(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    write_record(path, {"x": [1, "é"]})
    assert read_record(path)["x"] == [1, "é"]
    path.write_text(path.read_text("utf-8").replace("é", "e"), "utf-8")
    with pytest.raises(UsageError, match="checksum"):
        read_record(path)


def test_names_of_runs_do_not_collide(tmp_path: Path) -> None:
    first = default_path("some/data.csv", folder=tmp_path)
    first.mkdir()
    second = default_path("some/data.csv", folder=tmp_path)
    assert first.name.endswith("-data") and second.name == f"{first.name}-2"
    with pytest.raises(UsageError, match="no unfinished run"):
        default_path("some/data.csv", resume=True, folder=tmp_path)
    second.with_name(f"{second.name}.partial").mkdir()
    assert default_path("other/data.csv", resume=True, folder=tmp_path) == second
    assert default_path("some/data.csv", folder=tmp_path).name == f"{first.name}-3"


def test_begin_never_takes_what_is_there(tmp_path: Path) -> None:
    run = Run.begin(tmp_path / "a" / "run")
    assert run.path.name == "run.partial" and not run.complete and run.name == "run"
    with pytest.raises(UsageError, match="unfinished"):
        Run.begin(tmp_path / "a" / "run")
    assert Run.begin(tmp_path / "a" / "run", resume=True).path == run.path
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        Run.begin(tmp_path / "file" / "run")


def test_the_hash_of_data_sees_content_and_names(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "train.csv").write_text("x")
    one = data_sha256(tmp_path / "d")
    (tmp_path / "d" / "README.md").write_text("not data")
    assert data_sha256(tmp_path / "d") == one
    (tmp_path / "d" / "train.csv").rename(tmp_path / "d" / "test.csv")
    assert data_sha256(tmp_path / "d") != one
