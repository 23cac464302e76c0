"""What each refinement promises: nothing at the identity, and away from it no more and no less than it says."""

import pytest
import torch
from torch import nn

from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import init_params
from attnkit.attention.pattern import Causal, Full, Segments, Window
from attnkit.attention.refine import Span
from attnkit.attention.where import Where
from tests.formulas.refined import DIMS, B, D, H, by_name, by_size, drawn, maps, moved, on_both, situation


@by_name
@by_size
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_identity_is_bit_equal(part, T: int, S: int, dtype) -> None:
    where, _ = situation(T, S)
    q, k, v = (drawn(n, B, H, L, D).to(dtype) for n, L in ((1, T), (2, S), (3, S)))
    state = torch.rand(B, H, T, S).to(dtype)
    for pattern in (Full(), Causal(), ~Window(3)):
        bare, refined = Pairwise(pattern=pattern), Pairwise(pattern=pattern, refine=(part,))
        params = init_params(refined, DIMS, dtype=dtype)
        for who in (where, None):
            assert torch.equal(refined.mix(q, k, v, who, params, state), bare.mix(q, k, v, who))


@by_name
@by_size
@pytest.mark.parametrize("pattern", [Full(), Causal(), ~Window(3), Segments(2)], ids=str)
def test_promises_and_zeros_hold_away_from_the_identity(part, T: int, S: int, pattern) -> None:
    where, allowed = situation(T, S, pattern)
    for seed in range(5):
        scores, weights = drawn(seed, B, H, T, S), maps(seed + 50, allowed, T, S)
        state = maps(seed + 90, allowed, T, S)
        _, got = on_both(part, scores, weights, allowed, where, moved(part, seed), state)
        assert torch.equal(got.masked_fill(allowed, 0.0), torch.zeros_like(got))
        if part.keeps_row_sums:
            torch.testing.assert_close(got.sum(-1), weights.sum(-1))
        if part.keeps_sign:
            assert float(got.min()) >= 0.0


@by_name
def test_promises_not_made_are_seen_broken(part) -> None:
    where, allowed = situation(6, 6, Full())
    signs, sums = [], []
    for seed in range(8):
        scores, weights = drawn(seed, B, H, 6, 6), maps(seed + 50, allowed, 6, 6)
        _, got = on_both(part, scores, weights, allowed, where, moved(part, seed), maps(seed + 90, allowed, 6, 6))
        signs.append(float(got.min()) < 0)
        sums.append(not torch.allclose(got.sum(-1), weights.sum(-1)))
    assert any(signs) == (not part.keeps_sign)
    assert any(sums) == (not part.keeps_row_sums)


@by_name
def test_order_free_is_exact(part) -> None:
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    where, scores = Where.of(6, 6), drawn(1, B, H, 6, 6)
    weights, state = torch.softmax(scores, -1), torch.softmax(drawn(2, B, H, 6, 6), -1)
    params = {name: x - 0.5 for name, x in moved(part).items()}
    shuffled = on_both(part, scores[..., order], weights[..., order], None, where, params, state[..., order])
    straight = on_both(part, scores, weights, None, where, params, state)
    inert = all(torch.allclose(a, b[..., order]) for a, b in zip(shuffled, straight, strict=True))
    assert inert == part.order_free


@by_name
def test_gradients(part) -> None:
    where, allowed = situation(3, 4)
    params = {name: (x * 0.3 + 0.3).requires_grad_() for name, x in moved(part).items()}
    scores, weights = drawn(1, B, H, 3, 4).requires_grad_(), maps(2, allowed, 3, 4).requires_grad_()
    state = maps(3, allowed, 3, 4).requires_grad_()

    def run(scores, weights, state, *values):
        # Zero stays zero under any small step, as it does behind a normalizer.
        weights, state = weights.masked_fill(~allowed, 0.0), state.masked_fill(~allowed, 0.0)
        return on_both(part, scores, weights, allowed, where, dict(zip(params, values, strict=True)), state)

    assert torch.autograd.gradcheck(run, (scores, weights, state, *params.values()))


@by_name
def test_a_row_that_sees_nothing_has_zero_output_and_finite_gradients(part) -> None:
    keep = torch.tensor([[False] * 5, [True] * 5])
    operator = Pairwise(refine=(part,))
    params = {f"refine.0.{name}": x.requires_grad_() for name, x in moved(part).items()}
    q, k, v = (drawn(n, B, H, 5, D).requires_grad_() for n in range(3))
    state = torch.softmax(drawn(8, B, H, 5, 5), -1).masked_fill(~keep[:, None, None], 0.0).requires_grad_()
    out = operator.mix(q, k, v, Where.of(5, 5, keep=keep, query_keep=keep), params, state)
    assert torch.equal(out[0], torch.zeros_like(out[0]))
    for grad in torch.autograd.grad(out.square().sum(), (q, k, v, *params.values()), allow_unused=True):
        assert grad is None or torch.isfinite(grad).all()


@by_name
def test_a_fresh_refinement_can_learn(part) -> None:
    where, scores = Where.of(6, 6), drawn(1, B, H, 6, 6)
    start = {name: x.requires_grad_() for name, x in init_params(part, DIMS, dtype=torch.float64).items()}
    state = torch.softmax(drawn(2, B, H, 6, 6), -1)
    # A span moves once some key stands max_tokens away.
    part = Span(max_tokens=3, ramp_tokens=2) if isinstance(part, Span) else part
    refined = part.on_weights(
        torch.softmax(part.on_scores(scores, None, where, start, state), -1), None, where, start, state
    )
    loss = (refined * drawn(3, B, H, 6, 6)).sum()
    for name, grad in zip(start, torch.autograd.grad(loss, list(start.values())), strict=True):
        assert float(grad.abs().sum()) > 0, name


class Mixed(nn.Module):
    def __init__(self, part) -> None:
        super().__init__()
        self.part, self.operator = part, Pairwise(pattern=Causal(), refine=(part,))
        params = {name: x.float() for name, x in moved(part).items()}
        self.params = nn.ParameterDict({f"refine0{name}": x for name, x in params.items()})

    def forward(self, q, k, v, keep, state):
        params = {name.replace("refine0", "refine.0."): x for name, x in self.params.items()}
        where = Where.of(q.shape[2], k.shape[2], keep=keep, query_keep=keep)
        return self.operator.mix(q, k, v, where, params, state)


@by_name
def test_exports_with_free_sizes(part) -> None:
    def inputs(B: int, L: int):
        q, k, v = (drawn(n, B, H, L, D).float() for n in range(3))
        keep = torch.arange(L) < torch.arange(B)[:, None] * 2
        state = torch.softmax(drawn(4, B, H, L, L).float(), -1)
        return q, k, v, keep, state

    batch, length = torch.export.Dim("B"), torch.export.Dim("L", min=2)
    qkv, module = {0: batch, 2: length}, Mixed(part)
    shapes = (qkv, qkv, qkv, {0: batch, 1: length}, {0: batch, 2: length, 3: length})
    exported = torch.export.export(module, inputs(2, 6), dynamic_shapes=shapes).module()
    for args in (inputs(2, 6), inputs(3, 11)):
        torch.testing.assert_close(exported(*args), module(*args))
