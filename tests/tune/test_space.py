"""A space says what may be tried, holds each value to its field, and knows what it does not know."""

import pytest

from attnkit.errors import UsageError
from attnkit.run.recipe import Recipe
from attnkit.tune.default_space import default_space
from attnkit.tune.space import Range, Space, Values, parse_space

POOLING = {"type": "Pairwise", "score": {"type": "Cosine"}}


def parsed(**axes: object) -> Space:
    return parse_space({name.replace("__", "."): values for name, values in axes.items()}, Recipe())


def test_fields_go_by_short_or_dotted_name_and_keep_their_kind() -> None:
    space = parsed(learning_rate={"low": 1e-4, "high": 1e-2, "log": True}, model__layers={"low": 1, "high": 3})
    assert list(space.axes) == ["train.learning_rate", "model.layers"]
    rate, layers = space.axes.values()
    assert isinstance(rate, Range) and not rate.whole and rate.log
    assert isinstance(layers, Range) and layers.whole and layers.decode(2.0) == 2
    assert isinstance(layers.decode(2.0), int)


def test_ranges_come_back_from_plain_values_as_they_were() -> None:
    space = parsed(dropout={"low": 0.0, "high": 0.5, "step": 0.25}, layers={"low": 1, "high": 4, "log": True})
    assert parse_space(space.to_plain(), Recipe()) == space
    assert space.encode({"model.dropout": 0.0, "model.layers": 4}) == {"model.dropout": 0.0, "model.layers": 4}
    assert space.encode({"model.dropout": 0.3, "model.layers": 4}) is None
    assert space.encode({"model.dropout": 0.25, "model.layers": 5}) is None


def test_lists_hold_tables_and_numbers_and_give_them_back() -> None:
    space = parsed(pooling=["bahdanau", POOLING], word_dropout=[0, 0.1, "auto"])
    setting = {"model.pooling": POOLING, "model.word_dropout": 0.1}
    drawn = space.encode(setting)
    assert drawn is not None and all(isinstance(value, str) for value in drawn.values())
    assert space.decode(drawn) == setting
    assert space.encode({**setting, "model.word_dropout": 0.2}) is None
    assert parse_space(space.to_plain(), Recipe()) == space


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ({"train.learning_rat": [0.1]}, "'train.learning_rate'"),
        ({"model.width": {"low": 16, "hig": 64}}, "did you mean 'high'"),
        ({"model.width": {"low": 16}}, "needs a number as high"),
        ({"model.width": {"low": 16, "high": "64"}}, "needs a number as high"),
        ({"model.width": {"low": 64, "high": 16}}, "low must be below high"),
        ({"model.width": {"low": 16.5, "high": 64}}, "whole numbers"),
        ({"model.dropout": {"low": 0.0, "high": 0.5, "log": True}}, "no logarithm"),
        ({"model.dropout": {"low": 0.1, "high": 0.5, "log": True, "step": 0.1}}, "log and a step"),
        ({"model.dropout": {"low": 0.1, "high": 0.5, "step": 0.6}}, "step"),
        ({"model.dropout": {"low": 0.1, "high": 1.5}}, "model.dropout cannot be 1.5"),
        ({"train.learning_rate": [0.1, 11.0]}, "train.learning_rate cannot be 11.0"),
        ({"model.encoder": ["cnn", "bilsm"]}, "model.encoder cannot be 'bilsm'"),
        ({"model.pooling": ["bahdanou"]}, "bahdanau"),
        ({"model.encoder": {"low": 1, "high": 2}}, "no numbers"),
        ({"model.encoder": ["cnn", "cnn"]}, "'cnn' twice"),
        ({"model.encoder": []}, "no value"),
        ({"model.encoder": "cnn"}, "a list of values or a range"),
        ({"model.width": [8], "width": [16]}, "twice"),
        ({"train.seed": [0, 1]}, "tune.tune_seeds"),
        ({"data.validation": [0.1, 0.2]}, "rows on which trials are compared"),
        ({"evaluate.folds": [0, 2]}, "what is measured"),
        ({"tune.trials": [1, 2]}, "how the search goes"),
        ({"train.minutes": [1.0, 2.0]}, "tune.tune_minutes"),
        ({}, "empty"),
    ],
)
def test_what_is_wrong_is_one_sentence_that_names_it(axes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_space(axes, Recipe())
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_a_grid_holds_every_combination_once() -> None:
    space = parsed(
        model__layers={"low": 1, "high": 3},
        learning_rate={"low": 1e-4, "high": 1e-2, "log": True, "points": 3},
        dropout={"low": 0.1, "high": 0.4, "step": 0.1},
        encoder=["cnn", "none"],
    )
    points = [space.decode(point) for point in space.grid()]
    assert len(points) == 3 * 3 * 4 * 2 == len({repr(point) for point in points})
    assert sorted({point["train.learning_rate"] for point in points}) == pytest.approx([1e-4, 1e-3, 1e-2])
    assert sorted({point["model.dropout"] for point in points}) == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert {point["model.layers"] for point in points} == {1, 2, 3}
    for point in points:
        assert space.encode(point) is not None


def test_a_grid_that_cannot_be_listed_is_refused() -> None:
    axes = {name: {"low": 0.0, "high": 0.9, "points": 100} for name in ("dropout", "word_dropout", "embedding_dropout")}
    with pytest.raises(UsageError, match="1,000,000 points"):
        parsed(**axes).grid()


@pytest.mark.parametrize("encoder", ["cnn", "transformer"])
def test_the_default_space_is_sound_and_holds_the_default(encoder: str) -> None:
    settled = Recipe().with_values(
        {
            "encoder": encoder,
            "width": 64,
            "batch_rows": 32,
            "learning_rate": 0.002,
            "dropout": 0.5,
            "embedding_dropout": 0.2,
        }
    )
    space = parse_space(default_space(settled, 1000), settled)
    assert len(space.axes) >= 7
    plain = settled.to_plain()
    default = {name: plain[name.split(".")[0]][name.split(".")[1]] for name in space.axes}
    assert space.encode(default) is not None
    widths = space.axes["model.width"]
    assert isinstance(widths, Values) and widths.values == (32, 64, 128)
    operator = "model.attention" if encoder == "transformer" else "model.pooling"
    assert operator in space.axes
    assert "model.width" not in default_space(settled, 1000, {"model.width"})
    begun = default_space(settled.with_values({"start_from": "runs/words"}), 1000)
    assert not {"model.width", "model.layers", operator} & begun.keys(), "weights that are taken over fit one network"


def test_the_default_space_asks_for_no_batch_larger_than_the_data() -> None:
    settled = Recipe().with_values(
        {"encoder": "cnn", "width": 7, "batch_rows": 8, "learning_rate": 9.0, "dropout": 0.9, "embedding_dropout": 0.0}
    )
    space = parse_space(default_space(settled, 20), settled)
    assert space.axes["train.batch_rows"].to_plain() == [4, 8]
    assert space.axes["train.learning_rate"].to_plain()["high"] == 10.0
    assert space.axes["model.dropout"].to_plain()["high"] == 0.9
