"""A recipe says everything, reads back as written, and knows what it does not know."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnkit.errors import UsageError
from attnkit.run.recipe import (
    Recipe,
    dump_recipe,
    fields,
    load_recipe,
    parse_value,
    recipe_from_plain,
    save_recipe,
    toml_value,
)

LETTERS = st.text(st.characters(exclude_categories=["Cs"]))
PLAIN = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | LETTERS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(LETTERS, inner),
    max_leaves=8,
)


@given(PLAIN)
@settings(max_examples=150)
def test_any_plain_value_is_read_back_from_toml(value: object) -> None:
    assert tomllib.loads(f"x = {toml_value(value)}")["x"] == value


def test_every_field_is_described_and_written(tmp_path: Path) -> None:
    text = dump_recipe(Recipe(), {"train.epochs": "because\nof this"})
    for name, info in fields().items():
        assert info.description, name
        assert f"# {info.description}\n" in text
    assert "# chosen: because of this\nepochs =" in text


def test_no_two_sections_share_a_field_name() -> None:
    names = [name.split(".")[1] for name in fields()]
    assert len(names) == len(set(names))


def test_round_trip_with_a_table_of_parts(tmp_path: Path) -> None:
    pooling = {"type": "Pairwise", "score": {"type": "Additive", "hidden": 5}}
    recipe = Recipe().with_values({"pooling": pooling, "train.epochs": 7, "beside": ["max"], "path": 'a "b" \\ 好\x7f'})
    save_recipe(tmp_path / "recipe.toml", recipe)
    assert load_recipe(tmp_path / "recipe.toml") == recipe


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[train]\nepoch = 3", "'epochs'"),
        ("[tran]\nepochs = 3", "'train'"),
        ("[model]\nlearning_rate = 0.1", "train.learning_rate"),
        ("[train]\nepochs = -1", "train.epochs cannot be -1"),
        ("[train]\nepochs = 'many'", "train.epochs cannot be 'many'"),
        ("[train]\nepochs = 2.5", "train.epochs cannot be 2.5"),
        ("[train]\nclass_weights = 1", "train.class_weights"),
        ("[train]\nlearning_rate = nan", "train.learning_rate"),
        ("[model]\ndropout = 1.0", "model.dropout"),
        ("[model]\nencoder = 'bilsm'", "'bilstm'"),
        ("[model]\npooling = 'bahdanou'", "bahdanau"),
        ("[model]\npooling = { type = 'Pairwise', scor = 1 }", "score"),
        ("[model]\npooling = { type = 'Softmax' }", "part"),
        ("[model]\npooling = 'os:system'", "allow"),
        ("[model]\nkernel_widths_tokens = []", "kernel_widths_tokens"),
        ("model = 3", "model"),
        ("[model", "not TOML"),
        ("\x00", "not TOML"),
    ],
)
def test_what_is_wrong_is_named_with_what_is_near(tmp_path: Path, toml: str, said: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(toml)
    with pytest.raises(UsageError) as caught:
        load_recipe(path)
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_missing_and_binary_recipes_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no recipe at"):
        load_recipe(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        load_recipe(tmp_path / "binary.toml")


def test_options_by_short_or_dotted_name() -> None:
    recipe = Recipe().with_values({"epochs": 4, "model.width": 10})
    assert (recipe.train.epochs, recipe.model.width) == (4, 10)
    with pytest.raises(UsageError, match=r"train\.epochs"):
        Recipe().with_values({"epoch": 4})


@pytest.mark.parametrize(
    ("text", "value"), [("3", 3), ("0.5", 0.5), ("true", True), ("cnn", "cnn"), ("[1, 2]", [1, 2])]
)
def test_words_of_the_command_line_mean_toml_values(text: str, value: object) -> None:
    assert parse_value(text) == value


def test_sections_must_be_tables() -> None:
    with pytest.raises(UsageError):
        recipe_from_plain([1], "here")


def test_recipes_of_the_project_are_sound_and_short() -> None:
    found = sorted((Path(__file__).parents[2] / "recipes").glob("*.toml"))
    assert found
    for path in found:
        load_recipe(path)
        assert len(path.read_text("utf-8").splitlines()) <= 30, path
