"""What `describe` says of an operator is what the operator is."""

import json
from dataclasses import dataclass

import pytest

from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.combine import Sum
from attnkit.attention.describe import describe, description, picture
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims
from attnkit.attention.pattern import Causal, Documents, Neighbours2D, Window
from attnkit.attention.plain import to_plain
from attnkit.attention.score import Additive


def test_a_page_of_text():
    assert describe(Pairwise(Additive(hidden=5), pattern=Causal()), Dims(2, 3, 3)).splitlines() == [
        "score: Additive(hidden=5)",
        "    scores_ts = v . tanh(W_q q_t + W_k k_s + b) with W_q, W_k (D, hidden), b and v (hidden) learned a head.",
        "    Source: Bahdanau, Cho and Bengio (2015), Neural machine translation by jointly learning to align and "
        "translate, appendix A.1.2.",
        "    Cost: T x S x hidden tanh and multiply-adds a head, as much memory, and (T + S) x D x hidden "
        "multiply-adds.",
        "pattern: Causal()",
        "    Query at i meets keys at j <= i; with T != S the last query stands at the last key.",
        "    Source: Vaswani et al. (2017), section 3.2.3.",
        "    Cost: T x (T + 1) / 2 pairs of a square map.",
        "normalizer: Softmax()",
        "    A_ts = exp(z_ts) / sum_u exp(z_tu) over the keys u that t may see.",
        "    Source: Bridle (1990); Bahdanau, Cho and Bengio (2015), eq. 6.",
        "    Cost: T x S exponentials a head.",
        "",
        "claims: rows sum to one, nonnegative, causal (not: order free)",
        "step by step with a cache: yes",
        "learns at H=2, D=3, E=3: 80 (score.w_q 2x3x5; score.w_k 2x3x5; score.b 2x5; score.v 2x5)",
        "",
        "who meets whom (8 tokens, row = query):",
        *(f"    {'#' * (n + 1):.<8}" for n in range(8)),
    ]


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_line_is_described_whole(name):
    told, entry = description(name), CATALOGUE[name]
    assert json.loads(json.dumps(told)) == told
    assert (told["name"], told["summary"], told["source"], told["toy"]) == (
        name,
        entry.summary,
        entry.source,
        entry.toy,
    )
    assert told["operator"] == to_plain(entry.operator)
    assert description(entry.operator) == told
    for part in told["parts"]:
        assert part["formula"].endswith(".") and part["cost"], part
        assert part["source"] or part["setting"].startswith(("Either(", "Both(", "Outside(")), part
    assert told["parameter_count"] == sum(
        entry.operator.parameters(Dims(4, 64, 64))[key].init.fill(tuple(shape)).numel()
        for key, shape in told["parameters"].items()
    )
    text = describe(name)
    assert text.startswith(f"{name}: {entry.summary}\n{entry.source}\n")
    for part in told["parts"]:
        assert part["formula"] in text and part["setting"] in text


def test_a_combination_shows_its_parts_and_their_pictures():
    told = description(Sum((Pairwise(pattern=Window(3)), Pairwise(pattern=Causal()))))
    assert [part["role"] for part in told["parts"]][:4] == ["operator", "of.0.score", "of.0.pattern", "of.0.normalizer"]
    assert told["parts"][0]["setting"] == (
        "Sum(of=(Pairwise(pattern=Window(width_tokens=3, causal=False)), Pairwise(pattern=Causal())))"
    )
    assert [one["of"] for one in told["pictures_inside"]] == ["of.0", "of.1"]
    assert told["pictures_inside"][0]["rows"][0] == "##......"
    assert told["picture"][0] == "##......" and told["picture"][7] == "########"


@pytest.mark.parametrize(
    ("pattern", "rows", "tokens"),
    [
        (Window(3), ["##......", "###.....", ".###....", "..###..."], "8 tokens"),
        (Window(9, causal=True), ["+.......", "#+......", "+#+.....", ".+#+...."], "32 tokens in 8 blocks"),
        (Documents(), ["###.....", "###.....", "###.....", "...###.."], "8 tokens"),
        (Neighbours2D(4), ["##..##..", "###.###.", ".###.###", "..##..##"], "8 tokens"),
    ],
    ids=repr,
)
def test_the_picture_is_of_the_shortest_sequence_that_shows_the_rule(pattern, rows, tokens):
    drawn = picture(Pairwise(pattern=pattern))
    assert drawn["said"].startswith(tokens)
    assert drawn["rows"][:4] == rows


def test_an_operator_of_the_users_own_is_described_too():
    @dataclass(frozen=True)
    class Mine(Pairwise):
        """A = mine."""

    told = description(Mine(pattern=Window(2)))
    assert told["name"] == "" and told["picture"][1] == "##......"
    assert describe(Mine()).startswith("score: ScaledDot()")


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'bahdanau'"):
        describe("badhanau")
