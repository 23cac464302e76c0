"""Roles: heads planted by their queries and keys get their own names, and nothing gets one by accident."""

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attnkit.attention.base import Attention
from attnkit.attention.factored import CausalLinear
from attnkit.attention.normalizer import Sigmoid
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims
from attnkit.attention.pattern import Causal, Documents, Window
from attnkit.attention.refine import Convolution
from attnkit.attention.where import Where
from attnkit.capture.captured import Capture, Wanted
from attnkit.capture.measure import measure, rows
from attnkit.capture.roles import ROLES, RoleScore, name_roles, role_table, roles_of, roles_of_layer
from attnkit.kernels import functionals
from attnkit.layers.model_operator import GivenBias
from attnkit.layers.taps import Seen
from tests.capture.planted import call, planted, repeated_tokens

NAMES = [role.name for role in ROLES]
TEXTS = [repeated_tokens(88, 1), repeated_tokens(100, 2), repeated_tokens(75, 3, 30)]
# What a head reads that has a role by nature: the next token of an induction head that is not causal, and so on.
BESIDE = {"duplicate token": {"diagonal"}, "induction": {"next token"}}


def by_name(scores: list[RoleScore]) -> dict[str, RoleScore]:
    return {one.role: one for one in scores}


def shares(seen: Seen) -> Tensor:
    """The dense map in float64, each row over its sum."""
    params = {name: x.double() for name, x in seen.params.items()}
    whole = seen.spec.matrix(seen.q_BHTD.double(), seen.k_BGSD.double(), seen.where, params)
    total = whole.sum(-1, keepdim=True)
    return whole / total.masked_fill(total == 0, 1.0)


@pytest.mark.parametrize("left", [False, True], ids=["right", "left"])
@pytest.mark.parametrize("causal", [False, True], ids=["both ways", "causal"])
def test_planted_heads_get_their_names_and_no_other(causal: bool, left: bool) -> None:
    roles = [name for name in NAMES if not (causal and name == "next token")]
    seen = planted(roles, TEXTS, causal=causal, left=left, padding=3)
    for role, scores in zip(roles, roles_of(seen, TEXTS), strict=True):
        assert [one.role for one in scores].count(role) == 1 and len(scores) == len(ROLES)
        assert scores[0].role == role and scores[0].named, (role, scores[0])
        assert {one.role for one in scores if one.named} <= {role} | BESIDE.get(role, set())
        assert scores[0].lift is not None and scores[0].lift > 0.9 and scores[0].n == 3


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("causal", [False, True])
def test_a_head_without_a_role_gets_no_name_but_diffuse(seed: int, causal: bool) -> None:
    seen = planted(["random"] * 6, TEXTS, causal=causal, seed=10 * seed)
    for scores in roles_of(seen, TEXTS):
        assert {one.role for one in scores if one.named} <= {"diffuse"}


@pytest.mark.parametrize("length", [2, 3, 5, 9, 14])
def test_short_texts_name_nothing_by_accident(length: int) -> None:
    """Heads that each read single keys at random: in a few tokens some would look like anything."""
    texts = [repeated_tokens(length, 4, max(1, length - 2))]
    for seed in range(5):
        seen = planted(["random"] * 24, texts, causal=True, seed=100 + seed)
        generator = torch.Generator().manual_seed(seed)
        q = 30.0 * torch.randn(seen.q_BHTD.shape, generator=generator)
        for scores in roles_of(replace(seen, q_BHTD=q), texts):
            assert not [one.role for one in scores if one.named]


@pytest.mark.parametrize("causal", [False, True])
def test_padding_changes_nothing(causal: bool) -> None:
    roles = [*NAMES, "random"]
    plain = roles_of(planted(roles, TEXTS, causal=causal), TEXTS)
    for left in (False, True):
        padded = planted(roles, TEXTS, causal=causal, left=left, padding=9)
        S = padded.where.S
        full = [["[PAD]"] * (S - len(text)) + text if left else text + ["[PAD]"] * (S - len(text)) for text in TEXTS]
        for tokens in (TEXTS, full):
            for one, two in zip(plain, roles_of(padded, tokens), strict=True):
                _same(one, two)


def test_padding_that_stands_where_a_token_does_is_padding_still() -> None:
    """Positions that count real tokens alone: padding on the left then shares the first one's."""
    roles = [name for name in NAMES if name != "next token"]
    plain = roles_of(planted(roles, TEXTS, causal=True), TEXTS)
    padded = planted(roles, TEXTS, causal=True, left=True, padding=4)
    assert padded.where.keep is not None
    places = (padded.where.keep.cumsum(-1) - 1).clamp(min=0)
    S = padded.where.S
    where = Where.of(S, S, keep=padded.where.keep, query_position=places, key_position=places)
    for one, two in zip(plain, roles_of(replace(padded, where=where), TEXTS), strict=True):
        _same(one, two)


def test_neighbours_are_those_by_position_in_whatever_order_tokens_are_given() -> None:
    roles = ["previous token", "next token", "diagonal", "local", "duplicate token", "induction"]
    text = TEXTS[0]
    plain = planted(roles, [text], causal=False)
    order = torch.randperm(len(text), generator=torch.Generator().manual_seed(0))
    where = Where.of(len(text), len(text), query_position=order, key_position=order)
    mixed = replace(plain, q_BHTD=plain.q_BHTD[:, :, order], k_BGSD=plain.k_BGSD[:, :, order], where=where)
    given = [text[place] for place in order.tolist()]
    for one, two in zip(roles_of(plain, [text]), roles_of(mixed, [given]), strict=True):
        # What is near by chance depends on the pieces of the text, which the order breaks up.
        names = [name for name in roles if name != "local"]
        _same([by_name(one)[name] for name in names], [by_name(two)[name] for name in names])
    for one, two in zip(roles_of(plain), roles_of(mixed), strict=True):
        _same([by_name(one)["local"]], [by_name(two)["local"]])


def _same(one: list[RoleScore], two: list[RoleScore]) -> None:
    first, second = by_name(one), by_name(two)
    for name in first:
        assert (first[name].score is None) == (second[name].score is None), name
        if first[name].score is None:
            assert first[name].reason == second[name].reason
            continue
        for field in ("score", "chance", "mean", "spread"):
            assert getattr(first[name], field) == pytest.approx(getattr(second[name], field), abs=2e-5), (name, field)
        assert (first[name].queries, first[name].n) == (second[name].queries, second[name].n), name


def test_items_of_a_batch_are_items_by_themselves() -> None:
    roles = [*NAMES, "random"]
    together = roles_of(planted(roles, TEXTS, causal=True), TEXTS)
    alone = [roles_of(planted(roles, [text], causal=True, seed=item), [text]) for item, text in enumerate(TEXTS)]
    for head, scores in enumerate(name_roles(alone)):
        for plain in scores:
            own, seen = by_name(together[head])[str(plain["role"])], RoleScore.from_dict(plain)
            _same([own], [seen])
            assert own.named == seen.named


def formulas(seen: Seen, tokens: list[str]) -> dict[str, Tensor]:
    """The scores (H,) of a single text without padding, pair by pair from the dense map; causal."""
    p, L = shares(seen)[0], len(tokens)
    allowed = torch.ones(L, L).tril().double()
    uniform = allowed / allowed.sum(-1, keepdim=True)
    found = {}

    def mean_of(of_row: dict[int, Tensor]) -> Tensor:
        return torch.stack(list(of_row.values())).mean(0)

    def related(name: str, keys_of: dict[int, list[int]], forgiven: int | None = None) -> None:
        rows_ = {}
        for t, keys in keys_of.items():
            others = p[:, t, keys].sum(-1)
            own = p[:, t, t + forgiven] if forgiven is not None and 0 <= t + forgiven < L else torch.zeros_like(others)
            chance = uniform[t, keys].sum() + (min(uniform[t, keys].sum(), uniform[t, t]) if forgiven == 0 else 0)
            if 0 < chance < 1 - 1e-6 and t > 0:
                rows_[t] = others + torch.minimum(others, own)
        found[name] = mean_of(rows_)

    related("sink", {t: [0] for t in range(1, L)})
    related("previous token", {t: [t - 1] for t in range(1, L)})
    related("diagonal", {t: [t] for t in range(1, L)})
    delimiters = [s for s in range(1, L) if tokens[s] == "."]
    related("delimiter", {t: [s for s in delimiters if s <= t] for t in range(L)})
    related("duplicate token", {t: [s for s in range(t) if tokens[s] == tokens[t]] for t in range(L)}, 0)
    related("induction", {t: [s for s in range(1, t) if tokens[s - 1] == tokens[t]] for t in range(L)}, 1)
    piece = [tokens[:t].count(".") for t in range(L)]
    related("segment", {t: [s for s in range(t + 1) if piece[s] == piece[t]] for t in range(L)})
    far = [t for t in range(L) if t > 8]
    at_step = torch.stack([p[:, far, [t - d for t in far]].mean(-1) for d in range(9)])
    found["local"] = torch.minimum(at_step.sum(0), 2 * (at_step.sum(0) - at_step.amax(0)))
    entropy = {t: -torch.special.xlogy(p[:, t], p[:, t]).sum(-1) / math.log(t + 1) for t in range(3, L)}
    found["diffuse"] = mean_of(entropy)
    return found


@pytest.mark.parametrize(
    "spec",
    [
        Pairwise(pattern=Causal()),
        Pairwise(pattern=Causal(), normalizer=Sigmoid()),
        Pairwise(pattern=Causal(), refine=(Convolution(queries=3, keys=3),)),
        CausalLinear(),
    ],
    ids=str,
)
def test_scores_are_their_formulas(spec: Attention, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(functionals, "HEIGHTS", (8,))
    monkeypatch.setattr(functionals, "WIDTH", 8)
    tokens = repeated_tokens(40, 5, 14, piece=6)
    generator = torch.Generator().manual_seed(1)
    q, k = (torch.randn(1, 3, 40, 8, generator=generator) * 1.5 for _ in range(2))
    specs = spec.parameters(Dims(3, 8, 8))
    params = {name: torch.rand(one.shape, generator=generator) for name, one in specs.items()}
    seen = call(spec, q, k, params=params)
    if not spec.claims().nonnegative:
        assert all(one.score is None and "negative" in str(one.reason) for scores in roles_of(seen) for one in scores)
        return
    found, wanted = roles_of(seen, [tokens]), formulas(seen, tokens)
    for name, score_H in wanted.items():
        for head in range(3):
            assert by_name(found[head])[name].score == pytest.approx(float(score_H[head]), abs=1e-5), name


def test_stripes_are_chosen_by_one_half_of_the_queries_and_counted_on_the_other() -> None:
    """Even queries read key 3, odd ones key 6: no key is read by everybody."""
    L = 40
    read = torch.where(torch.arange(L) % 2 == 0, 3, 6)
    q = 12.0 * torch.eye(L)[read] * L**0.5
    seen = call(Pairwise(), q[None, None], torch.eye(L)[None, None])
    stripe = by_name(roles_of(seen)[0])["stripe"]
    assert stripe.score == pytest.approx(0.0, abs=1e-3) and not stripe.named
    both = replace(seen, q_BHTD=(12.0 * (torch.eye(L)[3] + torch.eye(L)[6]) * L**0.5).expand(1, 1, L, L))
    stripe = by_name(roles_of(both)[0])["stripe"]
    assert stripe.score == pytest.approx(1.0, abs=1e-3) and stripe.chance == pytest.approx(2 / L, abs=0.03)


def test_one_place_makes_no_head_local_by_itself() -> None:
    """Two thirds on the token before and one third on that before it: the one counts for no more than the other."""
    L = 60
    t, s = torch.arange(L)[:, None], torch.arange(L)
    scores = 20.0 + torch.where(s == t - 1, math.log(2.0), 0.0)
    q = torch.where((s == t - 1) | (s == t - 2), scores, 0.0) * L**0.5
    found = by_name(roles_of(call(Pairwise(), q[None, None], torch.eye(L)[None, None]))[0])
    assert found["local"].score == pytest.approx(2 / 3, abs=0.02)
    assert found["previous token"].score == pytest.approx(2 / 3, abs=0.02)


def test_a_first_token_that_parts_the_text_is_a_sink_and_no_delimiter() -> None:
    text = ["[CLS]", *TEXTS[0][1:]]
    (scores,) = roles_of(planted(["sink"], [text], causal=False), [text])
    assert scores[0].role == "sink" and by_name(scores)["delimiter"].score == pytest.approx(0.0, abs=1e-3)


def test_chance_is_what_a_uniform_map_scores() -> None:
    flat = planted(["diffuse"], [TEXTS[0]], causal=True)
    for scores in roles_of(flat, [TEXTS[0]]):
        for one in scores:
            if one.role != "diffuse" and one.score is not None:
                # Pieces are also compared with pieces elsewhere, which may fare better.
                least = -0.05 if one.role == "segment" else -1e-3
                assert one.lift is not None and least < one.lift < 1e-3, one
    previous = by_name(roles_of(flat)[0])["previous token"]
    L = len(TEXTS[0])
    assert previous.chance == pytest.approx(sum(1 / (t + 1) for t in range(1, L)) / (L - 1), abs=1e-6)


def test_a_mask_that_leaves_no_choice_names_no_head() -> None:
    """A window of two keys shows the previous token to all heads; one of a few makes none of them local."""
    generator = torch.Generator().manual_seed(0)
    q, k = (0.1 * torch.randn(1, 2, 60, 8, generator=generator) for _ in range(2))
    for width in (2, 5):
        spec = Pairwise(pattern=Window(width, causal=True))
        for scores in roles_of(call(spec, q, k)):
            assert not {one.role for one in scores if one.named} - {"diffuse"}
            assert by_name(scores)["local"].score is None
    hidden = torch.where(torch.ones(60, 60).tril().bool(), 0.0, torch.finfo(torch.float32).min)
    params = {"position.bias": hidden.expand(1, 2, 60, 60), "position.origin": torch.zeros(2, dtype=torch.int64)}
    given = roles_of(call(Pairwise(position=GivenBias()), q, k, params=params))
    said = roles_of(call(Pairwise(pattern=Causal()), q, k))
    for one, two in zip(given, said, strict=True):
        _same(one, two)


def test_packed_documents_each_have_their_sink_and_their_neighbours() -> None:
    ids, places = torch.tensor([0] * 30 + [1] * 30), torch.arange(30).repeat(2)
    where = Where.of(60, 60, query_document=ids, key_document=ids, query_position=places, key_position=places)
    first = torch.where(torch.arange(60) < 30, 0, 30)
    reads = torch.stack([first, (torch.arange(60) - 1).clamp(min=0)])
    q = 12.0 * 60**0.5 * torch.eye(60)[reads][None]
    found = roles_of(call(Pairwise(pattern=Documents()), q, torch.eye(60).expand(1, 2, 60, 60), where))
    assert [scores[0].role for scores in found] == ["sink", "previous token"]
    assert found[0][0].queries == 58 and found[1][0].queries == 58


def test_queries_at_the_end_of_the_keys_read_as_in_the_whole() -> None:
    """The last queries of a text, as a step with a cache has them."""
    roles = [name for name in NAMES if name != "next token"]
    whole = planted(roles, [TEXTS[0]], causal=True)
    S = len(TEXTS[0])
    last = replace(whole, q_BHTD=whole.q_BHTD[:, :, 40:], where=Where.of(S - 40, S))
    for role, scores in zip(roles, roles_of(last, [TEXTS[0]]), strict=True):
        assert role in {one.role for one in scores[:2] if one.named}, (role, scores[0])
        for example in scores[0].examples:
            assert example["query_token"] == TEXTS[0][40 + int(str(example["query"]))]


def test_what_cannot_be_decided_says_so() -> None:
    seen = planted(["random"], TEXTS, causal=False)
    bare = by_name(roles_of(seen)[0])
    for name in ("duplicate token", "induction", "delimiter", "segment"):
        assert bare[name].score is None and "no" in str(bare[name].reason) and "tokens" in str(bare[name].reason)
    crossed = by_name(roles_of(seen, TEXTS, "cross")[0])
    for name in ("previous token", "next token", "diagonal", "local", "segment", "duplicate token", "induction"):
        assert crossed[name].score is None and "no place" in str(crossed[name].reason)
    assert crossed["sink"].score is not None and crossed["delimiter"].score is not None
    causal = planted(["random"], [TEXTS[0]], causal=True)
    assert "no query" in str(by_name(roles_of(causal)[0])["next token"].reason)
    unique = [f"w{n}" for n in range(len(TEXTS[0]))]
    assert "no query" in str(by_name(roles_of(causal, [unique])[0])["induction"].reason)


def test_tokens_that_are_not_as_many_as_keys_are_refused() -> None:
    seen = planted(["random"], TEXTS, causal=False)
    with pytest.raises(ValueError, match="item 0 has 100 keys, 88 of them real, and 3 tokens"):
        roles_of(seen, [["a", "b", "c"], *TEXTS[1:]])
    with pytest.raises(ValueError, match="3 lists of strings"):
        roles_of(seen, TEXTS[:2])


def test_examples_are_pairs_of_the_role_with_their_weights() -> None:
    roles = [*NAMES]
    seen = planted(roles, TEXTS, causal=False, left=True, padding=2)
    for role, scores in zip(roles, roles_of(seen, TEXTS), strict=True):
        best = scores[0]
        assert len(best.examples) == 3 and not any(one.examples for one in scores if not one.named)
        for example in best.examples:
            item, query, key = (int(str(example[name])) for name in ("item", "query", "key"))
            row = rows(seen, [query])[item, roles.index(role), 0]
            assert example["weight"] == pytest.approx(float(row[key]), abs=1e-5)
            shift = seen.where.S - len(TEXTS[item])
            text = TEXTS[item]
            assert (example["query_token"], example["key_token"]) == (text[query - shift], text[key - shift])
            holds = {
                "previous token": key == query - 1,
                "next token": key == query + 1,
                "diagonal": key == query,
                "sink": key == shift,
                "delimiter": example["key_token"] == ".",
                "duplicate token": example["key_token"] == example["query_token"] and key != query,
                "induction": text[key - 1 - shift] == example["query_token"],
                "local": abs(key - query) <= 8,
                "stripe": key - shift in (3, len(text) // 4 + 1),
            }
            assert holds.get(role, True), (role, example)


def test_statistics_alone_decide_what_they_can() -> None:
    roles = ["sink", "previous token", "next token", "diagonal", "diffuse", "random", "stripe"]
    for causal in (False, True):
        for left in (False, True):
            seen = planted(roles, TEXTS, causal=causal, left=left, padding=2)
            layer = measure(seen, "self", Wanted(level="stats"))
            exact = roles_of(seen)
            for head, scores in enumerate(roles_of_layer(layer)):
                told = by_name(scores)
                for name in ("sink", "previous token", "diagonal", "diffuse", "next token"):
                    if by_name(exact[head])[name].score is None:
                        assert told[name].score is None
                        continue
                    _same([by_name(exact[head])[name]], [told[name]])
                assert "level='full'" in str(told["stripe"].reason)
    bare = replace(layer, statistics={})
    assert all(one.score is None for scores in roles_of_layer(bare) for one in scores)


def test_a_layer_that_kept_its_call_has_all_roles_and_the_entropy_it_counted() -> None:
    seen = planted([*NAMES, "random"], TEXTS, causal=False)
    layer = measure(seen, "self", Wanted(level="full"))
    for one, two in zip(roles_of(seen, TEXTS), roles_of_layer(layer, TEXTS), strict=True):
        _same(one, two)
    sampled = measure(seen, "self", Wanted(level="full", rows=20))
    for one, two in zip(roles_of(seen, TEXTS), roles_of_layer(sampled, TEXTS), strict=True):
        _same(one, two)


def test_the_table_has_the_clearest_heads_first_with_their_evidence() -> None:
    seen = planted(["random", "induction", "previous token"], TEXTS, causal=True)
    layer = measure(seen, "self", Wanted(level="full"))
    named = replace(layer, name="named", roles=name_roles([roles_of(seen, TEXTS)]))
    table = role_table(Capture([layer, named], {"text": TEXTS}))
    json.dumps(table)
    assert {(line["layer"], line["head"]) for line in table[-2:]} == {("layer", 0), ("named", 0)}
    order = [(line["role"] is None, -float(str(line["strength"]))) for line in table]
    assert order == sorted(order) and order[0][1] < -1.0
    line = next(line for line in table if line["role"] == "induction")
    for words in ("by chance", "over 3 items", " reads "):
        assert words in str(line["evidence"])
