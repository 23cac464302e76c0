"""attend: every kernel gives the reference's numbers, and an option that cannot be honored is refused."""

import pytest
import torch
from torch import Tensor

from attnkit.attention.normalizer import Softmax, Sparsemax
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Dims, init_params
from attnkit.attention.pattern import Causal, Full, Window
from attnkit.attention.position import Alibi, Rotary
from attnkit.attention.score import Additive, Dot, ScaledDot
from attnkit.attention.where import Where
from attnkit.kernels import Situation, attend, plan

PLAIN = [
    Pairwise(),
    Pairwise(score=Dot()),
    Pairwise(score=ScaledDot(scale=0.3)),
    Pairwise(pattern=Causal()),
    Pairwise(pattern=Window(3, causal=True)),
    Pairwise(position=Rotary(), pattern=Causal()),
]


def tensors(seed: int, T: int, S: int, H: int = 4, G: int = 2, E: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()

    return draw(2, H, T, 8), draw(2, G, S, 8), draw(2, G, S, E)


KEEP = torch.tensor([[True, True, True, False, False], [False, False, False, False, False]])


@pytest.mark.parametrize("spec", PLAIN, ids=str)
@pytest.mark.parametrize("T", [5, 3, 1])
@pytest.mark.parametrize("masked", [False, True])
def test_sdpa_equals_the_reference_with_its_gradients(spec: Pairwise, T: int, masked: bool) -> None:
    q, k, v = tensors(0, T, 5)
    where = Where.of(T, 5, keep=KEEP if masked else None, query_keep=KEEP[:, :T] if masked else None)
    direction = torch.randn(2, 4, T, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results = []
    for kernel in ("reference", "sdpa"):
        out = attend(q, k, v, spec, where=where, kernel=kernel)
        results.append((out, *torch.autograd.grad((out * direction).sum(), (q, k, v))))
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-12)


def test_a_query_that_sees_nothing_gives_zero_and_zero_gradient_on_each_kernel() -> None:
    q, k, v = tensors(0, 5, 5)
    for kernel in ("reference", "sdpa"):
        out = attend(q, k, v, keep=KEEP, kernel=kernel)
        assert torch.equal(out[1], torch.zeros_like(out[1]))
        for gradient in torch.autograd.grad(out.sum(), (q, k, v)):
            assert torch.isfinite(gradient).all()
            assert torch.equal(gradient[1], torch.zeros_like(gradient[1]))


def test_causal_is_aligned_bottom_right() -> None:
    q, k, _ = tensors(0, 2, 5, H=2, G=2)
    out = attend(q, k, torch.eye(5, dtype=torch.float64).expand(2, 2, 5, 5), Pairwise(pattern=Causal()))
    assert torch.equal(out[0, 0] > 0, torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]).bool())


def test_the_plan_is_the_fused_kernel_for_plain_softmax_and_says_why_not_elsewhere() -> None:
    q, k, v = tensors(0, 5, 5)
    situation = Situation.of(q, k, v, Where.of(5, 5))
    assert plan(Pairwise(), situation).kernel.name == "sdpa"
    chosen = plan(Pairwise(score=Additive(4)), situation)
    assert chosen.kernel.name == "reference"
    assert "Additive is not a dot product" in str(chosen)
    assert "adds a bias" in str(plan(Pairwise(position=Alibi()), situation))
    assert "Sparsemax is not the softmax" in str(plan(Pairwise(normalizer=Sparsemax()), situation))


def test_a_kernel_asked_for_that_does_not_fit_is_an_error_and_never_a_fallback() -> None:
    q, k, v = tensors(0, 5, 5)
    with pytest.raises(ValueError, match="kernel 'sdpa' cannot compute this: the score Additive"):
        attend(q, k, v, Pairwise(score=Additive(4)), kernel="sdpa")
    with pytest.raises(ValueError, match="no kernel is called 'fast'; there are auto, .*reference"):
        attend(q, k, v, kernel="fast")
    with pytest.raises(ValueError, match="dropout"):
        attend(q, k, v, dropout=0.1, kernel="sdpa")


def test_dropout_is_unbiased_and_reproducible_from_its_generator() -> None:
    q, k, v = (x.detach() for x in tensors(0, 5, 5))
    whole = attend(q, k, v)

    def draw(seed: int) -> Tensor:
        return attend(q, k, v, dropout=0.4, generator=torch.Generator().manual_seed(seed))

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))
    draws = torch.stack([draw(seed) for seed in range(2000)])
    error = (draws.mean(0) - whole).abs()
    assert (error < 5 * draws.std(0) / 2000**0.5 + 1e-9).all()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda q, k, v: attend(q[0], k, v), "q must have 4 axes"),
        (lambda q, k, v: attend(q[..., :4], k, v), "one head width; got 4 and 8"),
        (lambda q, k, v: attend(q, k, v[:, :, :2]), "k and v must agree"),
        (lambda q, k, v: attend(q[:1], k, v), "one batch size"),
        (lambda q, k, v: attend(q[:, :3], k, v), "3 query heads cannot share 2"),
        (lambda q, k, v: attend(q, k, v, keep=torch.ones(2, 5)), "keep must be boolean"),
        (lambda q, k, v: attend(q, k, v, keep=torch.ones(2, 4).bool()), r"keep must have shape \(B, 5\)"),
        (lambda q, k, v: attend(q, k, v, where=Where.of(5, 6)), "5 queries and 6 keys"),
        (lambda q, k, v: attend(q, k, v, where=Where.of(5, 5), keep=KEEP), "inside where"),
        (lambda q, k, v: attend(q, k, v, dropout=1.0), r"dropout must be in \[0, 1\)"),
        (lambda q, k, v: attend(q, k, v, intent="guess"), "intent must be one of"),
    ],
)
def test_bad_input_gets_one_sentence(change, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=sentence):
        change(*tensors(0, 5, 5))


def test_a_missing_parameter_is_named() -> None:
    q, k, v = tensors(0, 5, 5)
    with pytest.raises(KeyError, match="Additive needs the parameter"):
        attend(q, k, v, Pairwise(score=Additive(4)))


def test_autocast_keeps_every_kernel_within_the_low_precision_budget() -> None:
    q, k, v = (x.detach().float() for x in tensors(0, 5, 5))
    spec = Pairwise(score=Additive(4), normalizer=Softmax(), pattern=Full())
    params = init_params(spec, Dims(4, 8, 6), torch.Generator().manual_seed(0))
    exact = attend(q, k, v, spec, params=params)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        low = attend(q, k, v, spec, params=params)
    assert low.dtype == torch.bfloat16
    torch.testing.assert_close(low.float(), exact, rtol=0.05, atol=0.05)


def test_lengths_alone_hide_the_keys_behind_them() -> None:
    q, k, v = tensors(0, 5, 5)
    known = Where.of(5, 5, lengths=torch.tensor([3, 0]))
    for kernel in ("reference", "sdpa"):
        expected = attend(q, k, v, keep=KEEP, kernel=kernel)
        assert torch.equal(attend(q, k, v, where=known, kernel=kernel), expected)
    with pytest.raises(ValueError, match=r"lengths must be int64 of shape \(B,\)"):
        Where.of(5, 5, lengths=torch.tensor([[3.0]]))


def test_a_score_derived_from_a_plain_one_is_not_taken_for_it() -> None:
    class Doubled(ScaledDot):
        def scores(self, q_BHTD, k_BHSD, where, params):  # type: ignore[no-untyped-def]
            return 2.0 * super().scores(q_BHTD, k_BHSD, where, params)

    q, k, v = tensors(0, 5, 5)
    torch.testing.assert_close(attend(q, k, v, Pairwise(score=Doubled())), attend(2.0 * q, k, v))


def test_the_commonest_call_is_the_plans_own_to_the_bit_and_checks_what_it_is_given() -> None:
    q, k, v = torch.randn(3, 2, 4, 9, 8)
    assert torch.equal(attend(q, k, v), attend(q, k, v, kernel="sdpa"))
    with pytest.raises(ValueError, match="intent"):
        attend(q, k, v, intent="sell")
    with pytest.raises(ValueError, match="no kernel is called"):
        attend(q, k, v, kernel="fastest")
