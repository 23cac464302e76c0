"""Files beside the data: a run that goes on reads the ones it was begun with."""

import json
from pathlib import Path

import pytest

from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe
from attnkit.train import train
from attnkit.train.named_files import record_of_files, refuse_changed_files
from tests.train.small import sentences, small_data, write_csv


def test_a_changed_file_of_synonyms_stops_a_run_that_goes_on(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("good fine\n")
    recipe = Recipe().with_values({"synonyms": str(words), "replace": 0.1, "augment": 0.5})
    record = json.loads(json.dumps({"files": record_of_files(recipe)}))
    refuse_changed_files(recipe, record, tmp_path)
    words.write_text("good bad\n")
    with pytest.raises(UsageError, match="augment.synonyms changed"):
        refuse_changed_files(recipe, record, tmp_path)
    words.unlink()
    with pytest.raises(UsageError, match="there is no file"):
        refuse_changed_files(recipe, record, tmp_path)


def test_what_is_not_there_is_said_before_the_data_are_read(tmp_path: Path) -> None:
    source = small_data(tmp_path)
    heard: list[str] = []
    for given, said in (
        ({"teacher": "runs/nothing"}, "there is no run at runs/nothing"),
        ({"also": ["nofile.csv"]}, "There is no file or folder 'nofile.csv'"),
        ({"synonyms": "none.txt", "replace": 0.1, "augment": 0.5}, "there is no file none.txt"),
        ({"sharded": True}, "--sharded shares the weights out to processes, and here is one"),
    ):
        with pytest.raises(UsageError, match=said):
            train(source, out=tmp_path / "run", progress=lambda event: heard.append(event.kind), **given)
    assert not heard and not list(tmp_path.glob("run*"))


def test_an_error_of_the_data_is_raised_and_not_said_as_well(tmp_path: Path) -> None:
    source = write_csv(tmp_path / "one.csv", [*sentences(40), ("a film of no label", "")])
    heard: list[str] = []
    with pytest.raises(UsageError, match="no label") as caught:
        train(source, out=tmp_path / "run", progress=lambda event: heard.append(str(event.values)))
    assert heard and not any(str(caught.value)[:20] in one for one in heard)


def test_a_record_without_files_holds_nothing_to_them() -> None:
    assert record_of_files(Recipe()) == {}
    refuse_changed_files(Recipe(), {}, Path("run"))
