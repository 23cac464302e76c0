"""The verdict, on texts whose truth is known."""

import json
import math

import numpy as np
import pytest
import torch

from attnkit.errors import UsageError
from attnkit.see.explain import METHODS, explain_items
from attnkit.see.explain.control import rank_correlation, redrawn
from attnkit.see.explain.curves import SHARES, Curve, Measured, curves, measured, order_of
from attnkit.see.explain.texts import MOST_DRAWS, RANKINGS_OF_FEW
from attnkit.see.explain.verdict import Control, Estimate, judge, over_rankings, over_texts
from tests.see.planted import additive, classifier, items_of, learned, subject_of, texts

KNOWING = [name for name in METHODS if name != "random"]


@pytest.fixture(scope="module")
def planted():
    """(subject, items, place of the key, explanations) for each of two networks that know the keys."""
    found = {}
    for encoder in ("none", "bilstm"):
        torch.manual_seed(0)
        subject = subject_of(learned(classifier(encoder)))
        ids, label, at = texts(20, 20, torch.Generator().manual_seed(5))
        assert torch.equal(subject.answers(ids).argmax(-1), label)
        items = items_of(subject, ids)
        found[encoder] = subject, items, at.tolist(), explain_items(subject, items)
    return found


def first(explanations, method: str, at: list[int]) -> float:
    """Share of texts in which the key has the highest score."""
    tops = [max(range(len(one.scores)), key=one.scores.__getitem__) for one in explanations.attributions[method]]
    return sum(top == place for top, place in zip(tops, at, strict=True)) / len(at)


@pytest.mark.parametrize("method", KNOWING)
def test_the_key_is_found_and_the_verdict_says_so(planted, method: str) -> None:
    _, _, at, explanations = planted["none"]
    assert first(explanations, method, at) >= 0.9
    verdict = explanations.verdicts[method]
    assert verdict.word == "faithful"
    assert verdict.sentence.startswith("faithful: deletes the prediction 0.")
    assert verdict.sentence.endswith("(20 texts, interval over texts)")
    assert verdict.deletion.low > 0.05 and verdict.insertion.low > 0.05
    assert verdict.comprehensiveness.low > 0 and verdict.sufficiency.low > 0
    assert verdict.own.deletion < verdict.random.deletion


def test_behind_an_lstm_what_asks_the_model_finds_the_key(planted) -> None:
    _, _, at, explanations = planted["bilstm"]
    for method in ("occlusion", "integrated_gradients"):
        assert first(explanations, method, at) >= 0.9
        assert explanations.verdicts[method].word == "faithful"


@pytest.mark.parametrize("encoder", ["none", "bilstm"])
def test_chance_does_not_find_it(planted, encoder: str) -> None:
    _, _, at, explanations = planted[encoder]
    assert first(explanations, "random", at) < 0.3
    verdict = explanations.verdicts["random"]
    assert verdict.word == "no better than random" and "no better than random here" in verdict.sentence
    assert verdict.deletion.low < 0 < verdict.deletion.high
    assert verdict.control is None


@pytest.mark.parametrize("encoder", ["none", "bilstm"])
def test_with_redrawn_weights_the_verdict_drops(planted, encoder: str) -> None:
    explanations = planted[encoder][-1]
    for method in KNOWING:
        control = explanations.verdicts[method].control
        assert control.draws == 20
        assert control.deletion.low < 0 < control.deletion.high, method
        assert abs(control.correlation.value) < 0.3, method
        if explanations.verdicts[method].word == "faithful":
            assert control.deletion.high < explanations.verdicts[method].deletion.low, method


def test_a_model_that_never_learned_is_not_credited_with_the_keys(planted) -> None:
    subject, items, at, _ = planted["none"]
    with redrawn(subject.network, torch.Generator().manual_seed(3)):
        explanations = explain_items(subject, items, ["occlusion", "attention"], redraw=False)
    assert first(explanations, "occlusion", at) < 0.9
    assert explanations.verdicts["occlusion"].control is None


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(planted) -> None:
    subject, items, _, _ = planted["none"]
    some = items[:7]

    def plain(seed: int):
        found = explain_items(subject, some, ["random", "occlusion"], seed=seed).to_dict()
        for of in found["attributions"].values():
            for one in of:
                one.pop("seconds")
        return json.dumps(found, sort_keys=True)

    torch.manual_seed(1)
    first_time = plain(0)
    torch.manual_seed(2)
    assert plain(0) == first_time
    assert plain(1) != first_time


def test_few_texts_are_judged_over_random_rankings(planted) -> None:
    subject, items, _, _ = planted["none"]
    one = explain_items(subject, items[:1], ["occlusion"]).verdicts["occlusion"]
    assert (one.texts, one.over, one.rankings) == (1, "random rankings", RANKINGS_OF_FEW)
    assert f"as far as 1 text can tell; interval over {RANKINGS_OF_FEW} random rankings" in one.sentence
    assert one.control.draws == 6
    five = explain_items(subject, items[:5], ["occlusion"]).verdicts["occlusion"]
    assert (five.over, five.word) == ("random rankings", "faithful")
    six = explain_items(subject, items[:6], ["occlusion"], rankings=3).verdicts["occlusion"]
    assert (six.over, six.rankings) == ("texts", 3)


def test_what_a_capture_holds_is_plain(planted) -> None:
    _, items, _, explanations = planted["none"]
    rows = explanations.of_capture()
    assert len(rows) == len(METHODS) * len(items)
    assert json.loads(json.dumps(rows)) == rows
    row = rows[1]
    assert (row["method"], row["stream"], row["item"]) == ("occlusion", "text", 1)
    assert row["scores"] == list(explanations.attributions["occlusion"][1].scores)
    assert len(row["scores"]) == items[1].T
    assert row["verdict"] == explanations.verdicts["occlusion"].sentence
    assert row["details"]["verdict"]["control"]["draws"] == 20
    json.dumps(explanations.to_dict())


def test_a_method_that_cannot_be_used_says_why_and_stops_no_other() -> None:
    subject = additive([0.0, 2.0, -1.0])
    found = explain_items(subject, [subject.item([1, 2, 1, 2])] * 6, redraw=False)
    assert set(found.attributions) == {"occlusion", "gradient_input", "integrated_gradients", "random"}
    assert "no attention of Additive" in found.refused["rollout"]


def test_what_is_asked_wrongly() -> None:
    subject = additive([0.0, 2.0])
    item = subject.item([1])
    with pytest.raises(UsageError, match="there is no method 'oclusion'; take some of occlusion, "):
        explain_items(subject, [item], ["oclusion"])
    with pytest.raises(UsageError, match="nothing to explain"):
        explain_items(subject, [])
    with pytest.raises(UsageError, match="rankings must be at least 1; got 0"):
        explain_items(subject, [item], rankings=0)


def test_curves_take_away_and_put_back_in_the_order_given() -> None:
    weights = [0.0, 3.0, -1.0, 0.5, 0.25]
    subject = additive(weights, specials=(4,))
    item = subject.item([1, 4, 2, 3, 1, 3, 2, 1])
    aim = subject.target(item, 1)
    order = [7, 2, 0, 3, 4, 6, 5]

    def p(places: list[int]) -> float:
        return 1 / (1 + math.exp(-sum(weights[item.ids[place]] for place in places)))

    found = curves(subject, item, [order, order[::-1]], aim)[0]
    counts = sorted({max(1, math.ceil(share * 7)) for share in SHARES})
    assert found.shares == pytest.approx([0, *(count / 7 for count in counts), 1])
    for share, deleted, inserted in zip(found.shares, found.deleted, found.inserted, strict=True):
        count = round(share * 7)
        assert deleted == pytest.approx(p([1, *order[count:]]), abs=1e-6)
        assert inserted == pytest.approx(p([1, *order[:count]]), abs=1e-6)


def test_measures_are_areas_and_means_over_the_bins() -> None:
    curve = Curve((0.0, 0.1, 0.2, 0.5, 1.0), (0.9, 0.6, 0.5, 0.3, 0.1), (0.1, 0.4, 0.7, 0.8, 0.9))
    found = measured(curve, 10)
    # Of ten tokens the bins of 1, 5 and 10 % are one token, those of 20 and 50 % two and five.
    assert found.comprehensiveness == pytest.approx((3 * 0.3 + 0.4 + 0.6) / 5)
    assert found.sufficiency == pytest.approx((3 * 0.5 + 0.2 + 0.1) / 5)
    assert found.deletion == pytest.approx(0.1 * 0.75 + 0.1 * 0.55 + 0.3 * 0.4 + 0.5 * 0.2)
    assert found.insertion == pytest.approx(0.1 * 0.25 + 0.1 * 0.55 + 0.3 * 0.75 + 0.5 * 0.85)


def test_equal_scores_are_ordered_by_chance_and_higher_ones_first() -> None:
    subject = additive([0.0, 1.0], specials=(9,))
    item = subject.item([1, 1, 0, 1, 1, 9])
    generator = torch.Generator().manual_seed(0)
    orders = [order_of([0.5, 0.5, 2.0, 0.5, -1.0, 5.0], item, generator) for _ in range(40)]
    assert {(order[0], order[-1]) for order in orders} == {(2, 4)}
    assert {tuple(order[1:4]) for order in orders} == {
        (a, b, c) for a in (0, 1, 3) for b in (0, 1, 3) for c in (0, 1, 3) if len({a, b, c}) == 3
    }


def test_redrawn_weights_keep_their_numbers_and_come_back_to_the_bit() -> None:
    network = classifier("bilstm", ngrams=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(RuntimeError, match="stop"), redrawn(network, torch.Generator().manual_seed(0)):
        for name, value in network.state_dict().items():
            assert torch.equal(value.flatten().sort().values, before[name].flatten().sort().values), name
        assert not torch.equal(network.state_dict()["embedding.rows.weight"], before["embedding.rows.weight"])
        assert not bool(network.state_dict()["embedding.rows.weight"][0].any()), "padding"
        raise RuntimeError("stop")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_rank_correlation_shares_ranks() -> None:
    assert rank_correlation((1.0, 2.0, 3.0), (10.0, 20.0, 90.0)) == pytest.approx(1)
    assert rank_correlation((1.0, 2.0, 3.0), (3.0, 2.0, 1.0)) == pytest.approx(-1)
    # Ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: 4.5 / sqrt(4.5 x 5).
    assert rank_correlation((0.0, 1.0, 1.0, 2.0), (1.0, 2.0, 3.0, 4.0)) == pytest.approx(4.5 / math.sqrt(22.5))
    assert rank_correlation((1.0, 1.0), (1.0, 2.0)) == 0.0


def test_an_interval_over_texts_holds_the_truth_as_often_as_it_says() -> None:
    draw = np.random.default_rng(0)
    for n in (6, 20):
        held = [found.low <= 0.3 <= found.high for found in (over_texts(0.3 + draw.normal(size=n)) for _ in range(400))]
        assert 0.92 <= sum(held) / 400 <= 0.98, n


def test_an_interval_over_rankings_is_the_range_of_most_of_them() -> None:
    assert over_rankings(np.arange(101.0)) == Estimate(50.0, 2.5, 97.5)


def made(gains: list[float], chance: float = 0.5) -> tuple[list[Measured], list[list[Measured]]]:
    """Rankings that are better than random ones by `gains`, a text each."""
    own = [Measured(chance - gain, chance + gain, chance + gain, chance - gain) for gain in gains]
    return own, [[Measured(chance, chance, chance, chance)] * 2 for _ in gains]


def test_the_words_of_a_verdict() -> None:
    good, none, bad = ([0.2 + 0.01 * n for n in range(8)], [0.1 * (-1) ** n for n in range(8)], [-0.2] * 8)
    moves = [0.4] * 8
    assert judge("m", *made(good), moves, None).word == "faithful"
    assert judge("m", *made(none), moves, None).word == "no better than random"
    assert "worse than random here" in judge("m", *made(bad), moves, None).sentence
    still = judge("m", *made(good), [0.001] * 8, None)
    assert still.word == "nothing to find" and "moves by 0.00 only" in still.sentence
    own, random = made(good)
    only = [Measured(one.deletion, 0.5, one.comprehensiveness, one.sufficiency) for one in own]
    assert judge("m", only, random, moves, None).word == "partly faithful"
    assert "does not surely bring it back sooner (0.00" in judge("m", only, random, moves, None).sentence
    other = [Measured(0.5, one.insertion, one.comprehensiveness, one.sufficiency) for one in own]
    assert "does not surely delete it sooner (0.00" in judge("m", other, random, moves, None).sentence
    flat = Estimate(0.0, -0.1, 0.1)
    for low, value, word in ((0.1, 0.2, "unproven"), (-0.1, 0.2, "faithful"), (0.01, 0.05, "faithful")):
        control = Control(flat, Estimate(value, low, 0.3), 8)
        assert judge("m", own, random, moves, control).word == word
    assert "redrawn weights give an explanation that deletes it 0.20 [0.10, 0.30] sooner too" in (
        judge("m", own, random, moves, Control(flat, Estimate(0.2, 0.1, 0.3), 8)).sentence
    )


def test_a_verdict_gives_its_gains_so_that_more_is_better() -> None:
    verdict = judge("m", *made([0.1, 0.2, 0.3, 0.2, 0.1, 0.3]), [0.5] * 6, None)
    for one in (verdict.deletion, verdict.insertion, verdict.comprehensiveness, verdict.sufficiency):
        assert one.value == pytest.approx(0.2)
        assert 0.08 < one.low < 0.2 < one.high < 0.32
    assert verdict.to_dict()["own"]["deletion"] == pytest.approx(0.3)


def test_many_texts_share_draws_of_weights() -> None:
    subject = additive([0.0, 2.0, -1.0])
    items = [subject.item([1, 2, 1 + n % 2]) for n in range(MOST_DRAWS + 4)]
    control = explain_items(subject, items, ["occlusion"]).verdicts["occlusion"].control
    assert control.draws == MOST_DRAWS + 4
