"""Files beside the data: a run that goes on reads the ones it was begun with."""

import json
from pathlib import Path

import pytest

from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe
from attnkit.train.named_files import record_of_files, refuse_changed_files


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


def test_a_record_without_files_holds_nothing_to_them() -> None:
    assert record_of_files(Recipe()) == {}
    refuse_changed_files(Recipe(), {}, Path("run"))
