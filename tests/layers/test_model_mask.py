"""What a model's mask and wishes become: exactly the pairs it lets meet, exactly the numbers it asks for."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import attnkit
from attnkit.attention.combine import Mixture, Sum, Then
from attnkit.attention.factored import CausalLinear
from attnkit.attention.normalizer import Sink
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims
from attnkit.attention.pattern import Causal, Documents, Full, Window
from attnkit.attention.position import Alibi
from attnkit.attention.score import Cosine, SoftCap
from attnkit.attention.where import Where
from attnkit.layers.model_mask import Meeting, as_boolean, placed, recognize, remember, remembered
from attnkit.layers.model_operator import GivenBias, Wishes, asked


@pytest.mark.parametrize(
    "pattern", [Full(), Causal(), Window(3, causal=True), Window(5), Window(4, causal=True) & Documents()], ids=str
)
def test_masks_are_recognized_exactly(pattern: Any) -> None:
    for T, S in ((9, 9), (2, 9), (1, 9)):
        if T != S and isinstance(pattern, type(pattern & pattern)):
            continue
        document = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2])
        where = Where.of(
            T, S, keep=torch.arange(S) >= torch.tensor([[0], [2]]), query_document=document[-T:], key_document=document
        )
        allowed = Pairwise(pattern=pattern).allowed(where)
        assert allowed is not None
        allowed = allowed.expand(2, 1, T, S)[:, 0]
        found = recognize(allowed, placed(T, S, S - T, 0, None, "cpu"))
        assert found is not None
        assert torch.equal(found.allowed_BTS().expand(2, T, S), allowed)
        if found.where.query_document is not None:
            assert found.where.query_position[0].tolist() == [0, 1, 2, 0, 1, 2, 3, 0, 1]
        spoilt = allowed.clone()
        spoilt[1, 0, S // 2] = ~spoilt[1, 0, S // 2]
        again = recognize(spoilt, placed(T, S, S - T, 0, None, "cpu"))
        assert again is None or torch.equal(again.allowed_BTS().expand(2, T, S), spoilt)


def test_a_scattered_mask_is_no_pattern_and_a_bad_one_is_refused() -> None:
    scattered = torch.rand(2, 9, 9, generator=torch.Generator().manual_seed(0)) < 0.5
    assert recognize(scattered, placed(9, 9, 0, 0, None, "cpu")) is None
    with pytest.raises(ValueError, match="head to head"):
        as_boolean(torch.stack((scattered[0], ~scattered[0]))[None])
    with pytest.raises(ValueError, match="floating point; got torch.int64"):
        as_boolean(scattered[:, None].long())
    with pytest.raises(ValueError, match="shape"):
        as_boolean(scattered)


def test_wishes_find_their_place_in_operators_of_operators() -> None:
    generator = torch.Generator().manual_seed(0)
    q, k, v = (torch.randn(2, 2, 5, 4, generator=generator, dtype=torch.float64) for _ in range(3))
    bias = torch.randn(1, 2, 5, 5, generator=generator, dtype=torch.float64)
    wishes = Wishes(scaling=0.9, softcap=1.5, bias=bias, origin=torch.tensor([0, 0]))

    def by_hand(normalize: Callable[[Tensor], Tensor]) -> Tensor:
        return normalize(1.5 * torch.tanh(0.9 * q @ k.transpose(-1, -2) / 1.5) + bias)

    spec = Mixture((Pairwise(), Pairwise(position=Alibi(1.0, learned=True), score=Cosine())))
    dims = Dims(2, 4, 4)
    params = attnkit.init_params(spec, dims, dtype=torch.float64)
    changed, named = asked(spec, params, Wishes(scaling=0.9, bias=bias, origin=wishes.origin), 4)
    assert named.keys() - {"0.position.bias", "0.position.origin", "1.position.bias", "1.position.origin"} == (
        changed.parameters(dims).keys()
    )
    changed.mix(q, k, v, None, named)
    changed, named = asked(Sum((Pairwise(), Pairwise())), {}, wishes, 4)
    expected = 2 * by_hand(lambda scores: scores.softmax(-1)) @ v
    torch.testing.assert_close(changed.mix(q, k, v, None, named), expected)
    twice, named = asked(Then(Pairwise(), Pairwise()), {}, Wishes(scaling=0.9), 4)
    first = (0.9 * k @ k.transpose(-1, -2)).softmax(-1)
    second = (0.9 * q @ k.transpose(-1, -2)).softmax(-1)
    torch.testing.assert_close(twice.mix(q, k, v, None, named), second @ first @ v)
    assert asked(Pairwise(), {}, Wishes(scaling=0.5), 4)[0] == Pairwise()
    assert asked(CausalLinear(), {}, Wishes(scaling=0.9), 4)[0] == CausalLinear()
    assert asked(Pairwise(normalizer=Sink(None)), {}, Wishes(sinks=torch.ones(2)), 4)[0] == Pairwise(
        normalizer=Sink(None)
    )
    assert asked(Pairwise(SoftCap(cap=3.0)), {}, Wishes(softcap=3.0), 4)[0] == Pairwise(SoftCap(cap=3.0))
    with pytest.raises(ValueError, match="no place for the softcap and the bias"):
        asked(CausalLinear(), {}, Wishes(softcap=1.0, bias=bias), 4)


def test_a_given_bias_answers_for_some_pairs_as_for_all() -> None:
    bias = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0))
    params = {"bias": bias, "origin": torch.tensor([2, 0])}
    where = Where.of(5, 7)
    part = GivenBias(Alibi())
    whole = part.bias(where.i, where.j, params, 3, torch.float32)
    assert torch.equal(whole, bias + Alibi().bias(where.i, where.j, {}, 3, torch.float32))
    some = where.rows(1, 3).columns(2, 6)
    assert torch.equal(part.bias(some.i, some.j, params, 3, torch.float32), whole[:, :, 1:3, 2:6])


def test_a_mask_that_was_written_to_carries_nothing_any_more() -> None:
    mask = torch.ones(1, 1, 3, 3, dtype=torch.bool).tril()
    assert remembered(mask) is None
    meeting = Meeting(Causal(), Where.of(3, 3))
    remember(mask, meeting)
    assert remembered(mask) is meeting
    mask[0, 0, 2, 0] = False
    assert remembered(mask) is None


def test_a_mask_of_inference_mode_is_taken_as_it_is() -> None:
    with torch.inference_mode():
        mask = torch.ones(1, 1, 3, 3, dtype=torch.bool).tril()
        meeting = Meeting(Causal(), Where.of(3, 3))
        remember(mask, meeting)
        assert remembered(mask) is meeting
