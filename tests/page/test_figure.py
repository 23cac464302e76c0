"""Figures: a file that is whole, of the kind its name says, with the numbers and words of the capture in it."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

from attnkit.capture.captured import Capture, Pooled
from attnkit.page import figure
from attnkit.page.figure import draw, short_number
from attnkit.page.figure_map import map_of
from tests.capture.made import capture_of, layer_of

WORDS = ["the", "$x^2$", "a_b", "<b>", "fox", "&amp;", "\\frac", "sleeps", "%", "[SEP]", "\x1b[2J", "!"]
STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def words_of(path) -> list[str]:
    """The words of an SVG, read back."""
    return ["".join(one.itertext()) for one in ElementTree.parse(path).iter() if one.tag.endswith("}text")]


@pytest.mark.parametrize(
    ("ending", "which"),
    [
        ("PNG", {}),
        ("svg", {}),
        ("pdf", {}),
        ("png", {"layer": "layers.1"}),
        ("svg", {"layer": "layers.1", "head": 1}),
        ("pdf", {"layer": "layers.1", "head": 1}),
    ],
)
def test_the_ending_says_what_is_written_and_twice_is_the_same(tmp_path, ending, which) -> None:
    capture = capture_of(H=2, tokens=[WORDS] * 2)
    path = draw(capture, tmp_path / f"a.{ending}", **which)
    assert path.read_bytes().startswith(STARTS[ending.lower()])
    assert draw(capture, tmp_path / f"b.{ending}", **which).read_bytes() == path.read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.html"])
def test_an_ending_that_is_not_known_is_refused(tmp_path, name) -> None:
    with pytest.raises(ValueError, match=r"a figure is drawn as \.png, \.svg or \.pdf"):
        draw(capture_of(), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_the_atlas_holds_the_mean_of_each_head(tmp_path) -> None:
    capture = capture_of(T=12, S=12, H=3, layers=2)
    for layer in capture.layers:
        layer.statistics["entropy"][:] = torch.tensor([1.25, 2.5, 3.75])[None, :, None]
    words = words_of(draw(capture, tmp_path / "a.svg"))
    assert [words.count(number) for number in ("1.25", "2.50", "3.75")] == [2, 2, 2]
    assert {"layers.0", "layers.1", "head"} <= set(words)
    assert "made by hand: Entropy by layer and head" in words
    assert "entropy (nats)" in words


def test_two_captures_are_drawn_with_their_difference(tmp_path) -> None:
    first, second = capture_of(H=2, layers=1), capture_of(H=2, layers=1)
    first.layers[0].statistics["entropy"][:] = torch.tensor([1.0, 4.0])[None, :, None]
    second.layers[0].statistics["entropy"][:] = torch.tensor([3.5, 4.0])[None, :, None]
    words = words_of(draw(first, tmp_path / "a.svg", second=second))
    assert "second less first" in words
    assert words.count("2.50") == 1
    with pytest.raises(ValueError, match="no difference"):
        draw(first, tmp_path / "b.svg", second=capture_of(H=3, layers=1))


def test_tokens_stand_beside_the_map_as_they_are(tmp_path) -> None:
    words = words_of(draw(capture_of(tokens=[WORDS] * 2), tmp_path / "a.svg", layer="layers.0", head=0))
    for word in ("$x^2$", "a_b", "<b>", "&amp;", "\\frac", "\\x1b[2J"):
        assert words.count(word) == 3
    assert not [word for word in words if "numbered" in word]


def test_tokens_without_letters_are_numbered_and_the_figure_says_so(tmp_path) -> None:
    capture = capture_of(tokens=[["注意", *WORDS[1:]]] * 2)
    words = words_of(draw(capture, tmp_path / "a.svg", layer="layers.0", head=0))
    assert "Tokens are numbered: the font has no letters for some of them." in words
    assert "a_b" not in words
    assert words.count("11") == 3


def test_a_long_text_has_numbers_and_not_words_beside_it(tmp_path) -> None:
    words = words_of(draw(capture_of(T=80, S=80), tmp_path / "a.svg", layer="layers.0", head=0))
    assert not [word for word in words if word.startswith("word")]
    assert len([word for word in words if re.fullmatch(r"\d+", word)]) < 40


def test_the_map_is_that_of_its_item_and_head() -> None:
    mass = torch.arange(2 * 3 * 4 * 4.0).reshape(2, 3, 4, 4)
    layer = layer_of(torch.rand(2, 3, 12, 12))
    shown = map_of(type(layer)(**{**vars(layer), "pooled": Pooled(mass, 3, 3)}), 2, 1)
    assert np.array_equal(shown.mass_RC, mass[1, 2].numpy())
    assert shown.most == float(mass[1, 2].max())


def test_layers_that_lack_the_statistic_stay_empty_and_none_at_all_is_refused(tmp_path) -> None:
    capture = capture_of(H=2, layers=2)
    del capture.layers[0].statistics["entropy"]
    capture.layers[1].statistics["entropy"][:] = 1.5
    assert words_of(draw(capture, tmp_path / "a.svg")).count("1.50") >= 2
    del capture.layers[1].statistics["entropy"]
    capture.layers[1].undefined["entropy"] = "weights may be negative"
    with pytest.raises(ValueError, match="weights may be negative"):
        draw(capture, tmp_path / "b.svg")


@pytest.mark.parametrize(
    ("which", "said"),
    [
        ({"statistic": "entropie"}, "there is no statistic 'entropie'"),
        ({"head": 1}, "say layer="),
        ({"layer": "layers.0", "head": 9}, "heads 0 to 3"),
        ({"layer": "layers.0", "head": -1}, "heads 0 to 3"),
        ({"layer": "layers.0", "item": 5}, "items 0 to 1"),
    ],
)
def test_what_is_not_there_is_refused_in_one_sentence(tmp_path, which, said) -> None:
    with pytest.raises(ValueError, match=said):
        draw(capture_of(), tmp_path / "a.png", **which)


def test_no_layer_and_no_map_are_refused(tmp_path) -> None:
    with pytest.raises(ValueError, match="no layer"):
        draw(Capture(), tmp_path / "a.png")
    with pytest.raises(KeyError, match="layers.0"):
        draw(capture_of(), tmp_path / "a.png", layer="other")
    bare = capture_of(layers=1)
    bare.layers[0] = type(bare.layers[0])(**{**vars(bare.layers[0]), "pooled": None})
    with pytest.raises(ValueError, match="no pooled map"):
        draw(bare, tmp_path / "a.png", layer="layers.0", head=0)


def test_heads_of_different_layers_may_differ_in_number(tmp_path) -> None:
    capture = Capture([layer_of(torch.rand(1, H, 6, 6), f"layers.{H}") for H in (2, 5)])
    capture.layers[0].statistics["entropy"][:] = 7.25
    capture.layers[1].statistics["entropy"][:] = 1.0
    assert words_of(draw(capture, tmp_path / "a.svg")).count("7.25") == 2


def test_numbers_that_are_none_do_not_stop_a_figure(tmp_path) -> None:
    capture = capture_of(H=2, layers=1)
    capture.layers[0].pooled.mass_BHRC[:] = float("nan")
    capture.layers[0].statistics["entropy"][:, 0] = float("nan")
    for which in ({}, {"layer": "layers.0"}, {"layer": "layers.0", "head": 0}):
        assert draw(capture, tmp_path / "a.png", **which).stat().st_size > 1000


def test_many_heads_have_no_numbers_in_their_cells(tmp_path) -> None:
    capture = capture_of(H=figure._MOST_NUMBERED + 1, layers=1)
    capture.layers[0].statistics["entropy"][:] = 1.23
    assert "1.23" not in words_of(draw(capture, tmp_path / "a.svg"))


def test_numbers_are_short() -> None:
    said = {0: "0", 0.5: ".50", 1.234: "1.23", 12.34: "12.3", 123.4: "123", 1234: "1.23k", 45678: "46k", 1e9: "1e9"}
    assert {value: short_number(value) for value in said} == said
    assert short_number(-0.004) == "-.004"
    assert short_number(1e-7) == "1e-7"
