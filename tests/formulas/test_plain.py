"""Parts to plain data and back: every type, the file forms, and what is refused."""

import dataclasses
import json
import math
import tomllib
from dataclasses import dataclass

import pytest
import tomli_w

from attnkit.attention.base import Attention
from attnkit.attention.normalizer.entmax import Entmax
from attnkit.attention.normalizer.sink import Sink
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Part
from attnkit.attention.pattern.anchors import Anchors
from attnkit.attention.pattern.causal import Causal
from attnkit.attention.pattern.segments import Segments
from attnkit.attention.pattern.window import Window
from attnkit.attention.plain import TYPES, from_plain, to_plain
from attnkit.attention.score.additive import Additive
from attnkit.attention.score.base import Score
from attnkit.attention.score.scaled_dot import ScaledDot
from attnkit.attention.score.soft_cap import SoftCap


@dataclass(frozen=True)
class Mine(Score):
    """A score of the user's own."""

    power: int = 2


class NotAPart:
    """Something else in a module."""


PLAIN = [
    (ScaledDot(), {"type": "ScaledDot"}),
    (ScaledDot(0.5), {"type": "ScaledDot", "scale": 0.5}),
    (Additive(hidden=7), {"type": "Additive", "hidden": 7}),
    (Entmax(None), {"type": "Entmax", "alpha": "none"}),
    (Entmax(1.5), {"type": "Entmax", "alpha": 1.5}),
    (Sink(None), {"type": "Sink", "logit": "none"}),
    (Segments(count=3), {"type": "Segments", "count": 3}),
    (Window(5, causal=True), {"type": "Window", "width_tokens": 5, "causal": True}),
    (
        Window(5) | Anchors(1),
        {
            "type": "Either",
            "first": {"type": "Window", "width_tokens": 5, "causal": False},
            "second": {"type": "Anchors", "count": 1},
        },
    ),
    (SoftCap(Additive(3), 9.0), {"type": "SoftCap", "score": {"type": "Additive", "hidden": 3}, "cap": 9.0}),
    (
        Pairwise(pattern=Causal()),
        {
            "type": "Pairwise",
            "score": {"type": "ScaledDot"},
            "position": {"type": "NoPosition"},
            "pattern": {"type": "Causal"},
            "normalizer": {"type": "Softmax"},
            "refine": [],
        },
    ),
]


@pytest.mark.parametrize(("part", "plain"), PLAIN, ids=[repr(part)[:40] for part, _ in PLAIN])
def test_plain_form_and_back(part, plain):
    assert to_plain(part) == plain
    assert from_plain(plain) == part
    assert from_plain(tomllib.loads(tomli_w.dumps(plain))) == part
    assert from_plain(json.loads(json.dumps(plain))) == part


def test_fields_left_out_take_their_defaults():
    assert from_plain({"type": "Pairwise", "score": {"type": "Additive"}}) == Pairwise(Additive())


def test_a_whole_number_serves_as_a_number_and_stays_one():
    made = from_plain({"type": "SoftCap", "cap": 30})
    assert made == SoftCap(cap=30.0) and isinstance(made.cap, float)


def test_lists_become_tuples():
    made = from_plain({"type": "Pairwise", "refine": [{"type": "Temperature"}, {"type": "HeadGate"}]})
    assert isinstance(made, Pairwise) and isinstance(made.refine, tuple)
    assert [type(part).__name__ for part in made.refine] == ["Temperature", "HeadGate"]
    assert hash(made) == hash(from_plain(to_plain(made)))


REFUSED = [
    ("Additive", "a part is a table with a type, .* got 'Additive'"),
    ({"hidden": 3}, r"a part needs a type, .* got the keys \['hidden'\]"),
    ({"type": 3}, "a part needs a type"),
    ({"type": "Aditive"}, "there is no part of type 'Aditive' \\(did you mean 'Additive'\\?\\)"),
    ({"type": "softmax"}, "no part of type 'softmax' \\(did you mean 'Softmax'\\?\\)"),
    ({"type": "Qqqqqqqq"}, "there is no part of type 'Qqqqqqqq'$"),
    ({"type": "Additive", "hiden": 3}, "Additive has no field 'hiden' \\(did you mean 'hidden'\\?\\); it takes hidden"),
    ({"type": "Softmax", "scale": 3}, "Softmax has no field 'scale'; it takes none"),
    ({"type": "Window"}, "Window needs the field 'width_tokens'"),
    ({"type": "Additive", "hidden": "3"}, "Additive.hidden must be a whole number; got '3'"),
    ({"type": "Additive", "hidden": 3.0}, "Additive.hidden must be a whole number; got 3.0"),
    ({"type": "Additive", "hidden": True}, "Additive.hidden must be a whole number; got True"),
    ({"type": "Additive", "hidden": "none"}, "Additive.hidden must be a whole number; got 'none'"),
    ({"type": "Additive", "hidden": 0}, "Additive.hidden must be at least 1; got 0"),
    ({"type": "ScaledDot", "scale": True}, "ScaledDot.scale must be a number or 'none'; got True"),
    ({"type": "ScaledDot", "scale": math.inf}, "ScaledDot.scale must be a finite number; got inf"),
    ({"type": "Window", "width_tokens": 3, "causal": 1}, "Window.causal must be true or false; got 1"),
    ({"type": "Pairwise", "score": {"type": "Softmax"}}, "Pairwise.score must be a Score; got a Softmax"),
    ({"type": "Pairwise", "score": "Additive"}, r"Pairwise.score must be a Score \(a table with a type\); got 'Add"),
    ({"type": "Pairwise", "refine": {"type": "Temperature"}}, "Pairwise.refine must be a list; got"),
    (
        {"type": "Pairwise", "refine": [{"type": "Softmax"}]},
        r"Pairwise.refine\[0\] must be a Refinement; got a Softmax",
    ),
    ({"type": "Pairwise", "refine": [3]}, r"Pairwise.refine\[0\] must be a Refinement .*; got 3"),
    (
        {"type": "tests.formulas.test_plain:Mine"},
        "would run the code of tests.formulas.test_plain; allow it with --allow",
    ),
]


@pytest.mark.parametrize(("plain", "sentence"), REFUSED, ids=[str(plain)[:50] for plain, _ in REFUSED])
def test_what_is_wrong_is_said_in_one_sentence(plain, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        from_plain(plain)
    assert "\n" not in str(caught.value)


def test_a_type_of_the_users_own_needs_leave():
    spec = Pairwise(Mine(power=3))
    plain = to_plain(spec)
    assert plain["score"] == {"type": f"{Mine.__module__}:Mine", "power": 3}
    with pytest.raises(ValueError, match="--allow-code"):
        from_plain(plain)


def test_a_type_of_the_users_own_comes_back_with_leave(tmp_path, monkeypatch):
    (tmp_path / "my_scores.py").write_text(
        "from dataclasses import dataclass\nfrom attnkit.attention.score.base import Score\n\n\n"
        "@dataclass(frozen=True)\nclass Power(Score):\n    power: int = 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    made = from_plain({"type": "Pairwise", "score": {"type": "my_scores:Power", "power": 3}}, allow_code=True)
    assert isinstance(made, Pairwise) and type(made.score).__name__ == "Power"
    assert to_plain(made)["score"] == {"type": "my_scores:Power", "power": 3}
    assert from_plain(to_plain(made), allow_code=True) == made


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_module:Power", "cannot be imported: No module named 'no_such_module'"),
        ("json:Power", "cannot be imported: module 'json' has no attribute 'Power'"),
        ("json:JSONDecoder", "'json:JSONDecoder' is not a Part"),
        (":x", "cannot be imported"),
        ("json:", "cannot be imported"),
    ],
)
def test_code_that_is_no_part_is_refused(name, sentence):
    with pytest.raises(ValueError, match=sentence):
        from_plain({"type": name}, allow_code=True)


def test_deep_nesting_is_refused_with_a_sentence():
    plain = {"type": "Causal"}
    for _ in range(5000):
        plain = {"type": "Outside", "inner": plain}
    with pytest.raises(ValueError, match="parts are nested more than"):
        from_plain(plain)


def test_every_part_of_every_folder_is_known_by_its_name():
    def final(kind):
        below = [part for part in kind.__subclasses__() if part.__module__.startswith("attnkit.")]
        return [kind] if not below else [one for part in below for one in final(part)]

    # The bias that a model of transformers hands over is made by a call, and never written down.
    settings = {"HeadLayout", "GivenBias"}
    assert {kind.__name__ for kind in final(Part)} - settings == set(TYPES)
    assert all(kind.__name__ == name for name, kind in TYPES.items())


@pytest.mark.parametrize("kind", TYPES.values(), ids=TYPES)
def test_every_type_is_frozen_and_comes_back(kind):
    assert kind.__dataclass_params__.frozen and issubclass(kind, Part)
    required = [field for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]
    if not required:
        try:
            made = kind()
        except ValueError:
            return
        assert from_plain(tomllib.loads(tomli_w.dumps(to_plain(made)))) == made
        assert isinstance(made, Attention) == issubclass(kind, Attention)
