"""Arms: mechanisms in their place, changes to a recipe, and what is refused before anything is trained."""

import pytest

from attnkit.compare.arms import ablation_arms, mechanism_arms, words_apart
from attnkit.errors import UsageError
from attnkit.run.recipe import recipe_from_plain

RECIPE = recipe_from_plain({"model": {"encoder": "cnn", "word_dropout": 0.1}}, "a test")


def test_a_mechanism_goes_into_layers_of_transformers_and_else_into_the_pooling() -> None:
    pooled = mechanism_arms(RECIPE, ["additive", "cosine"])
    assert [arm.recipe.model.pooling for arm in pooled] == ["additive", "cosine"]
    assert [arm.name for arm in pooled] == ["additive", "cosine"]
    layered = mechanism_arms(RECIPE.with_values({"encoder": "transformer"}), ["vaswani", "rope"])
    assert [arm.changed for arm in layered] == [{"model.attention": "vaswani"}, {"model.attention": "rope"}]
    assert layered[1].recipe.model.pooling == RECIPE.model.pooling


def test_everything_but_the_mechanism_stays() -> None:
    for arm in mechanism_arms(RECIPE, ["additive", "dot", "general"]):
        assert arm.recipe.with_values({"pooling": RECIPE.model.pooling}) == RECIPE


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["cosine", "euclidian"], "did you mean 'euclidean'"),
        (["cosine"], "nothing to compare"),
        ([], "nothing to compare"),
        (["cosine", "dot", "cosine"], "named twice"),
        (["additive", "dot", "bahdanau"], "'bahdanau' is another name of 'additive'"),
    ],
)
def test_wrong_mechanisms_are_refused(names: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        mechanism_arms(RECIPE, names)


def test_each_change_is_one_arm_beside_the_recipe_as_it_is() -> None:
    arms = ablation_arms(RECIPE, ["word_dropout=0.0", 'model.beside=["mean"]', "encoder=none+width=64"])
    assert arms[0].name == "the recipe" and arms[0].recipe == RECIPE
    assert arms[1].changed == {"model.word_dropout": 0.0} and arms[1].recipe.model.word_dropout == 0
    assert arms[2].recipe.model.beside == ("mean",)
    assert arms[3].changed == {"model.encoder": "none", "model.width": 64}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("word_dropout", "field=value"),
        ("word_drop=0", "the nearest is"),
        ("word_dropout=0.1", "changes nothing"),
        ("word_dropout=2.0", "word_dropout cannot be"),
        ("seed=3", "rows or seeds"),
        ("validation=0.2", "rows or seeds"),
        ("read_test=true", "rows or seeds"),
    ],
)
def test_wrong_changes_are_refused(change: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        ablation_arms(RECIPE, [change])


def test_words_part_at_commas_but_not_within_lists() -> None:
    assert words_apart(["a,b", " c "]) == ["a", "b", "c"]
    assert words_apart(['beside=["mean","max"],width=8', "x='a,b'"]) == ['beside=["mean","max"]', "width=8", "x='a,b'"]
    assert words_apart(["pooling={type='Pairwise', score={type='Dot'}},d=0"])[1] == "d=0"
    assert words_apart([","]) == []
