"""How what is left is held: windows by what heads do, ranks by what maps answer, and children that are stored."""

from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.attention.pattern import Window as WindowPattern
from attnkit.errors import UsageError
from attnkit.layers.stored import IntegerLinear
from attnkit.model.changes.base import layers_of
from attnkit.run.directory import Run
from attnkit.shrink import Holding, find_frontier, shrink, teach_student, weigh
from attnkit.shrink.child import free_path
from attnkit.shrink.frontier.making import Making
from attnkit.shrink.frontier.structure import Structure
from attnkit.shrink.parent import Parent
from attnkit.shrink.reach import beyond, window_for
from attnkit.train import load, train
from tests.shrink.networks import changed, network
from tests.shrink.test_frontier import parent  # noqa: F401
from tests.train.small import SMALL, small_data
from tests.train.test_resume import weights_of


class Plain:
    """What turns items into a batch."""

    hierarchical = False

    def collate(self, items: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tensor(items), torch.ones(len(items), len(items[0]), dtype=torch.bool)


def test_what_lies_beyond_a_window_is_what_the_heads_put_there() -> None:
    model, prepare = network(attention="rope"), Plain()
    items = [[4, 5, 6, 7, 8, 9, 10], [5, 6, 7]]
    held = beyond(model, prepare, items)  # type: ignore[arg-type]
    assert set(held) == {0, 1} and held[0].shape == (4, 8)
    # All of the weight of a token lies at no distance or further.
    torch.testing.assert_close(held[0][:, 0], torch.ones(4, dtype=torch.float64), rtol=0, atol=1e-5)
    narrow = changed(network(attention="rope"), "window", layer=0, width_tokens=5)
    after = beyond(narrow, prepare, items)[0]  # type: ignore[arg-type]
    assert float(after[:, 3:].max()) < 1e-9 < float(after[:, 2].min())
    assert window_for(after, 0.0, causal=False) == 5 and window_for(after, 1.0, causal=False) == 1
    assert window_for(torch.tensor([[1.0, 0.5, 0.02, 0.01], [1.0, 0.1, 0.03, 0.0]]), 0.03, causal=True) == 2


def test_wishes_that_contradict_one_another_are_refused() -> None:
    for wrong, sentence in (
        ({"store": "int3"}, "--store takes bfloat16, int8"),
        ({"rounded": True}, "say so with --store int8 or int4"),
        ({"rounded": True, "store": "bfloat16"}, "say so with --store"),
        ({"table": -1}, "--table takes a width"),
    ):
        with pytest.raises(UsageError, match=sentence):
            Holding(**wrong)  # type: ignore[arg-type]


def child(parent: Run, out: Path, **wish: Any) -> Run:  # noqa: F811
    return shrink(parent, holding=Holding(**wish), out=out).run


def test_a_child_is_trained_first_and_stored_then(parent: Run, tmp_path: Path) -> None:  # noqa: F811
    run = child(parent, tmp_path / "child", words="25%", table=4, zeros="50%", store="int4", rounded=True)
    trained = Run.open(tmp_path / "child-trained")
    kinds = [change["kind"] for change in run.recipe.model.changes]
    assert kinds == ["prune_vocabulary", "factorize_embedding", "magnitude", "fake_integers", "integer_weights"]
    # What was zero before the training is zero after it, though it was rounded on the way.
    old, learned, stored = (weights_of(one.path) for one in (parent, trained, run))
    query = "encoder.layers.0.attention.query"
    zero = learned[f"{query}.weight"] == 0
    smallest = old[f"{query}.weight"].abs().flatten().argsort(stable=True)[: zero.numel() // 2]
    assert int(zero.sum()) == zero.numel() // 2 and bool(zero.flatten()[smallest].all())
    assert not torch.equal(learned[f"{query}.weight"][~zero], old[f"{query}.weight"][~zero])
    codes = load(run).network.get_submodule(query)
    assert isinstance(codes, IntegerLinear) and f"{query}.codes" in stored
    assert not codes.rounding.weights(codes.codes, codes.scale, zero.shape[1])[zero].any()
    assert not trained.metrics["test"] and run.metrics["test"]
    # What was zero before the training is zero behind it, rounded or not.
    for name, weight in weights_of(trained.path).items():
        if "encoder.layers" in name and name.endswith("weight") and weight.ndim == 2:
            assert float((weight == 0).float().mean()) == pytest.approx(0.5, abs=0.05), name
    assert run.metrics["validation"]["accuracy"]["value"] == trained.metrics["validation"]["accuracy"]["value"]
    words = load(parent).preprocessing.tokenizer.size
    assert load(run).preprocessing.tokenizer.size == words - round(0.25 * (words - 3))


def test_what_is_only_stored_is_not_trained(parent: Run, tmp_path: Path) -> None:  # noqa: F811
    run = child(parent, tmp_path / "child", store="int8-static")
    assert not (tmp_path / "child-trained").exists() and "no weight was trained" in run.metrics["protocol"]
    old, new = weights_of(parent.path), weights_of(run.path)
    name = "encoder.layers.0.attention.query"
    torch.testing.assert_close(
        new[f"{name}.codes"].T * new[f"{name}.scale"][:, None], old[f"{name}.weight"], atol=1e-2, rtol=0
    )


def test_what_is_said_of_a_training_that_there_is_not_is_refused(parent: Run, tmp_path: Path) -> None:  # noqa: F811
    stored = Holding(store="int8")
    for how, sentence in (
        ({"holding": stored, "distill": True}, "--store int8 alone leaves nothing to train, and --distill would"),
        (
            {"holding": stored, "epochs": 2, "learning_rate": 0.1},
            "and --epochs 2 and --learning-rate would; leave them",
        ),
        ({"heads": "1", "epochs": 0, "distill": True}, "--distill is of a training, and --epochs 0 asks for none"),
        ({"holding": Holding(store="int8", rounded=True), "epochs": 0}, "--rounded is of a training"),
    ):
        with pytest.raises(UsageError, match=sentence):
            shrink(parent, out=tmp_path / "child", **how)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("left", ["child", "child.partial", "child-trained", "child-trained.partial"])
def test_names_that_are_taken_are_said_before_anything_is_weighed(
    left: str,
    parent: Run,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / left).mkdir()
    monkeypatch.setattr(Parent, "open", None)
    with pytest.raises(UsageError, match=f"{left} already exists; choose another name"):
        child(parent, tmp_path / "child", zeros="50%", store="int8")


def test_a_free_name_is_free_for_what_is_trained_first_too(parent: Run) -> None:  # noqa: F811
    opened = Parent.open(parent)
    first = opened.run.path.with_name("parent-shrunk")
    assert free_path(opened.run) == first
    left = first.with_name("parent-shrunk-trained.partial")
    left.mkdir()
    assert free_path(opened.run) == first.with_name("parent-shrunk-2")
    left.rmdir()


def test_what_was_held_otherwise_is_not_made_smaller_behind_that(parent: Run, tmp_path: Path) -> None:  # noqa: F811
    values = {name: value for name, value in SMALL.items() if name not in ("embedding_width", "width")}
    values |= {"epochs": 0, "wide_ngrams": 0, "ngrams": 0, "start_from": str(parent.path)}
    query = "encoder.layers.0.attention.query"
    for change in (
        {"kind": "low_rank", "modules": [query], "ranks": [2]},
        {"kind": "magnitude", "share": 0.5},
        {"kind": "integer_weights"},
    ):
        held = train(parent.data["path"], out=tmp_path / change["kind"], changes=[change], **values)
        said = (
            f"has gone through {change['kind']} already, before which .* comes; shrink the run .*{parent.path}. first"
        )
        for wish in ({"heads": "1"}, {"units": "25%"}, {"layers": "1"}, {"holding": Holding(words="10%")}):
            with pytest.raises(UsageError, match=said):
                shrink(held, out=tmp_path / "child", **wish)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match=said):
            weigh(held)
        with pytest.raises(UsageError, match=said):
            find_frontier(held, out=tmp_path / "child")
    assert not (tmp_path / "child").exists()
    zeroed = Run(tmp_path / "magnitude")
    assert len(shrink(zeroed, holding=Holding(store="int8"), out=tmp_path / "stored").run.recipe.model.changes) == 2


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A hierarchical run, whose layers read sentences."""
    folder = tmp_path_factory.mktemp("sentences")
    values = {**SMALL, "encoder": "transformer", "heads": 2, "layers": 2, "hierarchical": True, "epochs": 1}
    return train(small_data(folder), out=folder / "parent", **{**values, "wide_ngrams": 0, "ngrams": 0})


def test_layers_that_read_sentences_get_windows_and_ranks(sentences: Run, tmp_path: Path) -> None:
    opened = Parent.open(sentences)
    network, items = opened.network(), opened.part("validation").items
    held = beyond(network, opened.prepare, items)
    longest = max(len(part) for item in items for part in item if isinstance(part, list))
    assert set(held) == {0, 1} and held[0].shape == (2, longest + 1)
    torch.testing.assert_close(held[1][:, 0], torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-5)
    run = child(sentences, tmp_path / "child", window="60%", rank="50%")
    kinds = [change["kind"] for change in run.recipe.model.changes]
    assert kinds[-1] == "low_rank" and "window" in kinds
    assert all(name.startswith("words.layers.") for name in run.recipe.model.changes[-1]["modules"])
    ranked = Making.of(opened, 20).changes(Structure(rank=2), opened.network())
    assert [change.kind for change in ranked] == ["low_rank"]


def test_windows_come_only_where_little_is_lost(parent: Run, tmp_path: Path) -> None:  # noqa: F811
    with pytest.raises(UsageError, match="in no layer a window would lose at most 0.0% of the weight"):
        child(parent, tmp_path / "child", window="0.0001%")
    run = child(parent, tmp_path / "child", window="60%")
    layers = layers_of(load(run).network)
    widths = {change["layer"]: change["width_tokens"] for change in run.recipe.model.changes}
    items = [item for item in Parent.open(parent).part("validation").items if item]
    held = beyond(load(parent).network, load(parent).preprocessing, items)
    for number, width in widths.items():
        assert layers[number].get_submodule("attention").spec.pattern == WindowPattern(width)
        assert float(held[number][:, (width + 1) // 2].max()) <= 0.6


def test_words_of_pieces_stay(tmp_path: Path, parent: Run) -> None:  # noqa: F811
    values = {"encoder": "transformer", "width": 8, "embedding_width": 8, "heads": 2, "wide_ngrams": 0, "epochs": 1}
    pieces = train(parent.data["path"], out=tmp_path / "bpe", tokenizer="bpe", **values)
    with pytest.raises(UsageError, match="the bpe tokenizer of .* has pieces that are made of one another"):
        child(pieces, tmp_path / "child", words="10%")


def test_a_recipe_is_taught(parent: Run, tmp_path: Path) -> None:  # noqa: F811
    small = tmp_path / "small.toml"
    small.write_text(
        '[model]\nencoder = "cnn"\nwidth = 4\nembedding_width = 4\nwide_ngrams = 0\n[train]\nepochs = 1\n'
        "[distill]\ndistill_weight = 0.9\n"
    )
    made = teach_student(parent, small, out=tmp_path / "student")
    recipe = made.run.recipe
    assert recipe.model.encoder == "cnn" and recipe.distill.teacher == (str(parent.path.absolute()),)
    assert recipe.distill.distill_weight == 0.9 and made.run.data["splits"] == parent.data["splits"]
    assert made.beside.after.parameters < made.beside.before.parameters
