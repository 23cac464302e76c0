"""flex: the functions generated from the parts give the reference's numbers, and a processor is told why not."""

import pytest
import torch
from torch.nn.attention.flex_attention import flex_attention

import attnkit
from attnkit.attention.laws.subject import random_params
from attnkit.attention.normalizer import Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims
from attnkit.attention.pattern import (
    Anchors,
    Causal,
    Dilated,
    Documents,
    Fixed,
    Full,
    Neighbours2D,
    Prefix,
    RandomBlocks,
    Segments,
    Strided,
    Window,
)
from attnkit.attention.position import Alibi, ClippedBias, Learned, RelativeBias, Rotary
from attnkit.attention.score import Additive, Cosine, Dot, Euclidean, General, ScaledDot, SoftCap
from attnkit.attention.where import Where
from attnkit.kernels import Situation
from attnkit.kernels.flex import Flex, flexed, mask_mod_of, no_functions, score_mod_of
from attnkit.kernels.kernel import Call

SPECS = [
    Pairwise(),
    Pairwise(ScaledDot(0.3), Rotary(), Causal()),
    Pairwise(Dot(), pattern=Window(5)),
    Pairwise(General(), Learned(64)),
    Pairwise(Cosine(), ClippedBias(4), Segments(count=3)),
    Pairwise(Euclidean()),
    Pairwise(SoftCap(Euclidean(), 2.0), Alibi(learned=True), Causal()),
    Pairwise(SoftCap(General(), 1.0), RelativeBias(8, 16), Window(4, causal=True) | Anchors(2)),
    Pairwise(pattern=Documents() & Causal()),
    Pairwise(pattern=~Segments(width_tokens=4)),
    Pairwise(pattern=RandomBlocks(2, 2) | Dilated(3, 2)),
    Pairwise(pattern=Fixed(4, 1) | Strided(3, causal=True)),
    Pairwise(pattern=Neighbours2D(4, 1) | Prefix(3)),
]


def call(spec: Pairwise, T: int, S: int, masked: bool, packed: bool = False) -> Call:
    generator = torch.Generator().manual_seed(T + S)
    q = torch.randn(2, 4, T, 8, generator=generator)
    k, v = torch.randn(2, 2, S, 8, generator=generator), torch.randn(2, 2, S, 6, generator=generator)
    keep = torch.rand(2, S, generator=generator) < 0.7
    keep[0] = False
    document = torch.tensor([0] * 4 + [1] * 9)
    position = torch.stack((torch.arange(13), torch.tensor([*range(4), *range(9)])))
    where = Where.of(
        T,
        S,
        keep=keep if masked else None,
        query_keep=keep[:, -T:] if masked and T <= S else None,
        query_document=document[:T],
        key_document=document[:S],
        query_position=position[:, :T] if packed else None,
        key_position=position[:, :S] if packed else None,
    )
    return Call(q, k, v, where, random_params(spec, Dims(4, 8, 6), generator, torch.float32))


CASES = [(13, 13, False, False), (5, 13, True, False), (9, 9, True, True)]
CROSSED = [
    # One case an operator suffices by day: torch compiles each anew, for a second.
    pytest.param(spec, *case, marks=[] if place % 3 == turn else pytest.mark.slow, id=f"{spec}-{case}")
    for place, spec in enumerate(SPECS)
    for turn, case in enumerate(CASES)
]


@pytest.mark.parametrize(("spec", "T", "S", "masked", "packed"), CROSSED)
def test_the_generated_functions_give_the_numbers_of_the_reference(
    spec: Pairwise, T: int, S: int, masked: bool, packed: bool
) -> None:
    given = call(spec, T, S, masked, packed)
    double = {name: value.double() for name, value in given.params.items()}
    expected = spec.mix(given.q_BHTD.double(), given.k_BGSD.double(), given.v_BGSE.double(), given.where, double)
    got = flexed(spec, given, flex_attention)
    torch.testing.assert_close(got.double(), expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_mask_mod_names_exactly_the_pairs_of_the_pattern(spec: Pairwise) -> None:
    where = call(spec, 5, 13, masked=True).where
    allowed, mask_mod = spec.allowed(where), mask_mod_of(spec, where)
    assert allowed is not None and mask_mod is not None
    b, h = torch.tensor(1), torch.tensor(0)
    told = [[bool(mask_mod(b, h, torch.tensor(t), torch.tensor(s))) for s in range(13)] for t in range(5)]
    assert torch.equal(torch.tensor(told), allowed.expand(2, 1, 5, 13)[1, 0])


def test_nothing_is_generated_where_nothing_is_asked() -> None:
    assert mask_mod_of(Pairwise(), Where.of(3, 3)) is None
    assert score_mod_of(Pairwise(pattern=Causal()), Where.of(3, 3), {}, 2, torch.float32) is None


def test_gradients_reach_queries_keys_values_and_the_table() -> None:
    spec = Pairwise(SoftCap(cap=2.0), ClippedBias(4), Window(5))
    given = call(spec, 9, 9, masked=False)
    wanted = [given.q_BHTD, given.k_BGSD, given.v_BGSE, given.params["position.table"]]
    for x in wanted:
        x.requires_grad_()
    direction = torch.randn(2, 4, 9, 6, generator=torch.Generator().manual_seed(1))
    reference = spec.mix(given.q_BHTD, given.k_BGSD, given.v_BGSE, given.where, given.params)
    expected = torch.autograd.grad((reference * direction).sum(), wanted)
    got = torch.autograd.grad((_dense(spec, given) * direction).sum(), wanted)
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def _dense(spec: Pairwise, given: Call) -> torch.Tensor:
    """What flex_attention computes, pair by pair: on a processor it gives no gradients itself."""
    score_mod, mask_mod = (
        score_mod_of(spec, given.where, given.params, 4, torch.float32),
        mask_mod_of(spec, given.where),
    )
    assert score_mod is not None and mask_mod is not None
    k, v = (x.repeat_interleave(2, 1) for x in (given.k_BGSD, given.v_BGSE))
    scores = given.q_BHTD @ k.transpose(-1, -2) / 8**0.5
    b, h, t, s = (torch.arange(n) for n in scores.shape)
    places = torch.meshgrid(b, h, t, s, indexing="ij")
    scores = score_mod(scores, *places)
    allowed = torch.vmap(mask_mod)(*(x.flatten() for x in places)).view_as(scores)
    return scores.masked_fill(~allowed, float("-inf")).softmax(-1) @ v


def test_a_processor_and_other_operators_are_refused_with_the_reason() -> None:
    q = torch.randn(1, 2, 4, 8)
    situation = Situation.of(q, q, q, Where.of(4, 4))
    reason = Flex().fits(Pairwise(), situation)
    assert reason is not None and "gives no gradients" in reason
    assert "not the softmax" in str(no_functions(Pairwise(normalizer=Sparsemax())))
    assert "Additive is not a dot product" in str(no_functions(Pairwise(SoftCap(Additive(4)))))
    assert "Linear is not one softmax" in str(no_functions(attnkit.named("linear")))
    assert "TalkingHeads acts between" in str(no_functions(attnkit.named("talking-heads")))
    assert no_functions(Pairwise(SoftCap(), Alibi(), Full())) is None
    with pytest.raises(ValueError, match="flex_attention cannot compute this: the normalizer Sparsemax"):
        flexed(Pairwise(normalizer=Sparsemax()), call(Pairwise(), 3, 3, False), flex_attention)
    with pytest.raises(ValueError, match="kernel 'flex' cannot compute this: on a processor"):
        attnkit.attend(q, q, q, kernel="flex")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "masked"),
    [(SPECS[1], False), (SPECS[4], False), (SPECS[7], False), (SPECS[8], False), (SPECS[10], True), (SPECS[0], True)],
    ids=str,
)
def test_compiled_for_a_processor_the_functions_give_the_same_numbers(spec: Pairwise, masked: bool) -> None:
    """Forward alone, which is what torch can do here; nothing else of the compiled kernel is tested."""
    given = call(spec, 13, 13, masked)
    with torch.no_grad():
        expected = spec.mix(given.q_BHTD, given.k_BGSD, given.v_BGSE, given.where, given.params)
        got = flexed(spec, given, torch.compile(flex_attention, dynamic=False))
    torch.testing.assert_close(got, expected, rtol=2e-5, atol=2e-5)
