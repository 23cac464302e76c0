"""A capture as text: numbers where they belong, within the width, and no command in it."""

import dataclasses
import re

import pytest
import torch

from attnkit.capture.captured import Capture
from attnkit.page.letters import columns, cut, padded, plain_letters, short_name, spaced
from attnkit.page.terminal import show
from tests.capture.made import capture_of, layer_of

_SHADE = re.compile(r"\x1b\[(?:48;5;\d+m\x1b\[38;5;\d+m|0m)")


def plain(text: str) -> str:
    return _SHADE.sub("", text)


def test_each_mean_stands_in_its_own_layer_and_head() -> None:
    capture = capture_of(T=12, S=12, H=4)
    entropy = capture.layers[1].statistics["entropy"]
    entropy[:] = torch.tensor([1.25, 2.5, 3.75, 40.0])[None, :, None]
    line = next(line for line in show(capture, 80).splitlines() if line.startswith("layers.1"))
    assert line.split() == ["layers.1", "1.25", "2.50", "3.75", "40.0"]


def test_padding_does_not_count() -> None:
    capture = capture_of(T=12, S=12, H=1, B=1, layers=1)
    layer = capture.layers[0]
    layer.statistics["entropy"][:] = torch.where(torch.arange(12) < 6, 2.0, 500.0)
    kept = dataclasses.replace(layer, query_keep=(torch.arange(12) < 6)[None])
    assert "2.00" in show(Capture([kept]), 80, statistics=["entropy"])
    assert "251" in show(Capture([layer]), 80, statistics=["entropy"])


def test_sampled_rows_meet_their_own_padding() -> None:
    rows = torch.tensor([1, 9])
    layer = layer_of(torch.rand(1, 1, 12, 12), rows=rows)
    layer.statistics["entropy"][:] = torch.tensor([3.0, 900.0])
    kept = dataclasses.replace(layer, query_keep=(torch.arange(12) < 6)[None])
    assert "3.00" in show(Capture([kept]), 80, statistics=["entropy"])


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("heads", [1, 8, 12, 40])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_it_may_be(width, heads, color) -> None:
    words = ["注意力", "a" * 300, "é", "🙂", "##ing", "word"] * 4
    capture = capture_of(T=24, S=24, H=heads, tokens=[words] * 2)
    capture.notes.append("x" * 250 + " and words that go on and on beyond the end of the line, some way further")
    lines = plain(show(capture, width, color=color)).splitlines()
    assert max(map(columns, lines)) <= width
    whole = "".join(lines)
    assert "a" * 20 in whole
    assert sum(whole.count(f"{n}") for n in range(10)) > heads


def test_colors_are_there_only_where_they_are_asked_for() -> None:
    capture = capture_of()
    assert "\x1b" not in show(capture)
    assert _SHADE.search(show(capture, color=True))
    assert "\x1b" not in plain(show(capture, color=True))


@pytest.mark.parametrize("color", [False, True])
def test_nothing_of_a_token_or_a_name_reaches_the_terminal_as_a_command(color) -> None:
    evil = ["\x1b[2J", "\x1b]0;title\x07", "\r", "\x9b31m", "\u202e", "\x00", "\x7f", "\ud800", "\u200b", "\u2028"]
    capture = capture_of(T=10, S=10, B=1, tokens=[evil])
    roles = [[{"role": "\x1b[1msink", "named": True, "score": 0.9, "lift": 0.8}]] * 4
    capture.layers[0] = dataclasses.replace(capture.layers[0], name="\x1b[31mred\n", roles=roles)
    del capture.layers[0].statistics["sink"], capture.layers[1].statistics["sink"], capture.layers[2].statistics["sink"]
    capture.layers[0].undefined["sink"] = "\x1bwhy"
    capture.title, capture.notes = "\x1b[5m", ["\x1b[6m\x07"]
    capture.streams["\x1btext"] = capture.streams["text"]
    text = plain(show(capture, 80, color=color))
    assert not [letter for letter in text if letter != "\n" and plain_letters(letter) != letter]
    assert "\\x1b[2J" in text
    assert "\\x1bwhy" in text


def test_the_heaviest_token_is_the_brightest() -> None:
    capture = capture_of(T=6, S=6, B=1, tokens=[["one", "two", "three", "four", "five", "six"]])
    for layer in capture.layers:
        layer.statistics["received"][:] = torch.tensor([0.1, 0.0, 4.0, 0.1, 1.0, 0.2])
    text = show(capture).splitlines()
    assert any("█three" in line and "▁two" in line and "▅five" in line for line in text)
    shaded = show(capture, color=True)
    assert "\x1b[48;5;229m\x1b[38;5;16mthree" in shaded
    assert "\x1b[48;5;17m\x1b[38;5;231mtwo" in shaded


def test_rounding_has_no_colors() -> None:
    capture = capture_of(H=2, layers=1)
    capture.layers[0].statistics["entropy"][:] = torch.tensor([1.0, 1.00001])[None, :, None]
    assert len(set(re.findall(r"48;5;(\d+)", show(capture, color=True, statistics=["entropy"]).split("text:")[0]))) == 1
    capture.layers[0].statistics["entropy"][:] = torch.tensor([1.0, 1.01])[None, :, None]
    assert len(set(re.findall(r"48;5;(\d+)", show(capture, color=True, statistics=["entropy"]).split("text:")[0]))) == 2
    capture.layers[0].statistics["entropy"][:] = 0.0
    assert "0.00" in show(capture, color=True, statistics=["entropy"])


def test_one_head_and_one_layer_are_shown_alone() -> None:
    capture = capture_of(T=6, S=6, B=1, H=2, tokens=[["one", "two", "three", "four", "five", "six"]])
    capture.layers[1].statistics["received"][0, 1] = torch.tensor([0.0, 1.0, 0, 0, 0, 0])
    assert "█two" not in show(capture)
    text = show(capture, layer="layers.1", head=1)
    assert "█two" in text
    assert "(layers.1, head 1)" in text
    with pytest.raises(ValueError, match="heads 0 to 1"):
        show(capture, layer="layers.1", head=2)
    with pytest.raises(ValueError, match="say layer="):
        show(capture, head=0)
    with pytest.raises(KeyError, match="layers.0"):
        show(capture, layer="other")
    with pytest.raises(ValueError, match="there is no statistic"):
        show(capture, statistics=["entropie"])


def test_roles_are_listed_the_clearest_first() -> None:
    capture = capture_of(H=2, layers=2)

    def role(name, lift, named=True):
        return {"role": name, "named": named, "score": lift, "lift": lift}

    heads = [[role("previous token", 0.5), role("local", 0.4)], [role("sink", 0.9)]]
    capture.layers[0] = dataclasses.replace(capture.layers[0], roles=heads)
    capture.layers[1] = dataclasses.replace(capture.layers[1], roles=[[role("stripe", 0.1, named=False)], []])
    text = show(capture)
    assert text.index("head 1: sink 0.90") < text.index("head 0: previous token 0.50, also local")
    assert "stripe" not in text


def test_what_is_not_there_is_said() -> None:
    capture = capture_of(layers=1)
    del capture.layers[0].statistics["sink"]
    capture.layers[0].undefined["sink"] = "it has no first key"
    assert "Weight on the first key: it has no first key" in show(capture)
    assert "no layer" in show(Capture())


def test_sub_words_are_joined_as_their_marks_say() -> None:
    assert spaced(["un", "##like", "##ly", "fox"]) == [(False, "un"), (False, "like"), (False, "ly"), (True, "fox")]
    assert spaced(["The", "Ġcat", "s", "Ċ"]) == [(False, "The"), (True, "cat"), (False, "s"), (False, "\n")]
    assert spaced(["▁The", "▁c", "at"]) == [(True, "The"), (True, "c"), (False, "at")]
    assert spaced(["注意", "力", "and"]) == [(False, "注意"), (False, "力"), (True, "and")]


def test_long_names_of_layers_still_differ() -> None:
    names = [f"{side}.block.{n}.layer.0.SelfAttention" for side in ("encoder", "decoder") for n in range(12)]
    short = [short_name(name, 28) for name in names]
    assert short[13] == "d.b.1.layer.0.SelfAttention"
    assert len(set(short)) == len(names)
    assert max(map(columns, short)) <= 28
    assert short_name("x" * 50, 10) == "…" + "x" * 9
    assert short_name("layers.0", 28) == "layers.0"


def test_letters_take_the_columns_that_a_terminal_gives_them() -> None:
    assert columns("注意a") == 5
    assert columns("e\u0301") == 1
    assert cut("注意力", 5) == "注意…"
    assert cut("注意力", 4) == "注…"
    assert padded("注意力", 8) == "注意力  "
    assert plain_letters("a\nb\tc\x1b") == "a⏎b⇥c\\x1b"
