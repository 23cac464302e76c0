"""The quickstart does the whole job on whatever data it obtained, and draws it."""

import json
from pathlib import Path

import pytest

from attnkit.data.starter import Starter
from attnkit.page.shaded_picture import Panel, draw_panels
from tests.verbs.calling import SMALL, attn, review_csv

PNG = b"\x89PNG\r\n"


@pytest.fixture
def small(here: Path, monkeypatch: pytest.MonkeyPatch) -> Starter:
    """A quickstart on few rows with the smallest network."""
    (here / "tiny.csv").write_text(review_csv(60))
    data = Starter(here / "tiny.csv", "tiny", ("Where the data come from.",), ("a lovely film", "an awful plot"))
    settings = {field.partition("=")[0]: int(field.partition("=")[2]) for field in SMALL}
    monkeypatch.setattr("attnkit.train.quickstart.starter", lambda offline: data)
    monkeypatch.setattr("attnkit.train.quickstart.SETTINGS", {"tiny": {**settings, "baselines": True}})
    return data


def test_it_says_trains_predicts_and_draws(small: Starter) -> None:
    ended = attn("quickstart", "--out", "run")
    assert ended.code == 0, ended.err
    order = [
        "Where the data come from.",
        "training",
        "Measured on the test rows",
        "a lovely film",
        "looked at:",
        "an awful plot",
    ]
    places = [ended.out.index(said) for said in order]
    assert places == sorted(places)
    assert Path("run/where-it-looked.png").read_bytes().startswith(PNG)
    assert "attn train your.csv" in ended.out


def test_as_json(small: Starter) -> None:
    told = json.loads(attn("quickstart", "--json").out)
    assert Path(told["run"]).name.endswith("-tiny")
    assert [one["text"] for one in told["predictions"]] == list(small.examples)
    assert Path(told["picture"]).is_file()


def test_a_second_run_does_not_overwrite_the_first(small: Starter) -> None:
    assert attn("quickstart", "--out", "run").code == 0
    assert "already exists" in attn("quickstart", "--out", "run").fault


def test_pictures_of_texts_and_of_images(here: Path) -> None:
    from matplotlib.image import imread

    words = Panel("one $x$", (("word", 0.7), (" ", None), ("other " * 40, 0.3)))
    image = Panel("two", tuple((f"r{row}c{column}x{row}", row / 224) for row in range(8) for column in range(8)))
    drawn = [
        imread(draw_panels(here / f"{number}.png", panels))
        for number, panels in enumerate([[words], [image], [words, image]])
    ]
    # The heavier word stands on the stronger ground: less blue.
    strongest = drawn[0][..., 2].min(where=drawn[0][..., 0] > 0.95, initial=1)
    assert strongest < 0.4
    assert drawn[1].shape[0] > drawn[0].shape[0] and drawn[2].shape[1] == drawn[0].shape[1]


@pytest.mark.slow
def test_digits_where_no_index_answers(here: Path) -> None:
    ended = attn("quickstart", "--offline", "--out", "run", "--json")
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["test"]["accuracy"]["value"] > 0.6
