"""Presets, and what stands beside the network where nothing is named."""

from pathlib import Path
from typing import Any

import pytest

from attnkit.errors import UsageError
from attnkit.model.build import build_model
from attnkit.model.settings import ModelSettings
from attnkit.run.recipe import Recipe
from attnkit.train.choices import Choices
from attnkit.train.choose_model import choose_model
from attnkit.train.choose_training import choose_training
from attnkit.train.choose_wide import choose_wide_branch, wants_wide
from attnkit.train.propose import propose
from attnkit.train.training import train
from tests.train.small import small_data


def settled(preset: str, **values: Any) -> Recipe:
    choices = Choices(Recipe().with_values({"preset": preset, "hierarchical": False, "batch_rows": 32, **values}))
    choose_wide_branch(choices, 8000, 20, classes=2, paired=False)
    choose_model(choices, 8000, 20)
    choose_training(choices, 8000)
    return choices.recipe


def test_presets_differ_in_work_alone_and_no_preset_is_fast() -> None:
    tiny, fast, best = (settled(name) for name in ("tiny", "fast", "best"))
    for work in (lambda r: r.train.epochs, lambda r: r.train.patience, lambda r: r.model.width):
        assert work(tiny) < work(fast) < work(best)
    assert Recipe().train.preset == "fast"
    same = {"tokens", "data", "optimizer", "regularize", "evaluate"}
    assert {n: t for n, t in tiny.to_plain().items() if n in same} == {
        n: t for n, t in best.to_plain().items() if n in same
    }


def test_what_is_given_is_not_changed_by_a_preset() -> None:
    recipe = settled("best", width=10, epochs=3)
    assert (recipe.model.width, recipe.train.epochs) == (10, 3) and recipe.model.embedding_width == 300


def test_a_preset_beside_a_complete_recipe_is_refused(tmp_path: Path) -> None:
    complete = propose(small_data(tmp_path)).recipe
    with pytest.raises(UsageError, match="leaves nothing open"):
        train(tmp_path / "data.csv", recipe=complete, preset="best", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_wide_branch_spares_epochs_where_rows_are_few_or_texts_are_many() -> None:
    found = []
    for rows, tokens, wide in ((8000, 20, 2), (67_000, 9, 2), (53_000, 70, 3), (53_000, 70, 0)):
        choices = Choices(Recipe().with_values({"wide_ngrams": wide, "batch_rows": 64}))
        choose_training(choices, rows, median_tokens=tokens)
        found.append(choices.recipe.train.epochs)
    assert found == [8, 5, 3, 5]


def test_a_wide_branch_stands_beside_what_was_left_open_and_nothing_else() -> None:
    assert settled("fast").model.wide_ngrams == 2 and settled("fast").model.wide_smoothing == 2.0
    assert settled("fast", encoder="transformer").model.wide_ngrams == 0
    assert settled("fast", wide_ngrams=0).model.wide_ngrams == 0
    assert settled("fast", encoder="cnn", wide_ngrams=3).model.branch_dropout == 0.3
    for given in ({"hierarchical": True}, {"start_from": "runs/one"}, {"language": "masked"}, {"also": ["more.csv"]}):
        assert not wants_wide(Recipe().with_values(given))


def test_pairs_and_long_texts_are_counted_in_their_own_way() -> None:
    found = []
    for tokens, median, paired in (("chars", 50, False), ("word", 300, False), ("word", 20, True)):
        choices = Choices(Recipe().with_values({"tokenizer": tokens}))
        choose_wide_branch(choices, 8000, median, classes=3, paired=paired)
        model = choices.recipe.model
        found.append((model.wide_ngrams, model.wide_min_texts, model.wide_smoothing))
        # What nothing reads is no choice that anybody need hear of.
        assert ("model.branch_dropout" in choices.reasons) is not paired
    assert found == [(3, 2, 3.0), (3, 2, 40.0), (0, 1, 3.0)]


def test_settings_of_before_there_was_a_wide_branch_have_none() -> None:
    plain = {"encoder": "none", "hierarchical": False, "embedding_width": 4, "width": 4, "beside": (), "ngrams": 0}
    dropout = {"word_dropout": 0.0, "embedding_dropout": 0.0, "dropout": 0.0, "words_beside": False}
    assert build_model(ModelSettings(**plain, **dropout), 9, 2).wide is None
