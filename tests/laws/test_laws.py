"""The laws find what is broken: attentions with one planted fault each, and the table that says so."""

from dataclasses import dataclass, replace

import pytest
import torch

from attnkit.attention.base import Claims
from attnkit.attention.laws import Facts, check_attention, check_normalizer
from attnkit.attention.normalizer import NORMALIZERS, Entmax, TopK
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal
from attnkit.attention.refine import Recurrent

SOUND = Pairwise()
SOUND_CAUSAL = Pairwise(pattern=Causal())


def failed(report) -> set[str]:
    print(report)
    return {row.law for row in report.failed}


@pytest.mark.parametrize("spec", [SOUND, SOUND_CAUSAL], ids=["full", "causal"])
def test_what_is_sound_passes(spec):
    report = check_attention(spec)
    assert report.ok and not failed(report)


@dataclass(frozen=True)
class Wrong(Pairwise):
    """Softmax attention with one fault in its map."""

    fault: str = ""

    def matrix(self, q, k, where=None, params=None, state=None):
        if self.fault == "mask polarity":
            where = replace(where, keep=None if where.keep is None else ~where.keep)
        if self.fault == "mask ignored":
            where = replace(where, keep=None)
        if self.fault == "top-left":
            where = replace(where, query_position=torch.arange(where.T))
        if self.fault == "off by one":
            where = replace(where, query_position=where.query_position + 1)
        if self.fault == "batch normalized":
            k = k / k.norm(dim=0, keepdim=True)
        if self.fault == "keys normalized":
            k = k / k.norm(dim=-2, keepdim=True)
        if self.fault == "queries normalized":
            q = q / q.norm(dim=-2, keepdim=True)
        if self.fault == "detached":
            q = q.detach()
        weights = super().matrix(q, k, where, params, state)
        if self.fault == "nan":
            weights = weights / weights.sum(-1, keepdim=True)
        if self.fault == "uniform when empty":
            empty = (weights.sum(-1, keepdim=True) == 0) & torch.ones_like(weights, dtype=torch.bool)
            weights = weights.masked_fill(empty, 1.0 / where.S)
        if self.fault == "scaled weights":
            weights = weights * 1.01
        if self.fault == "negative":
            weights = weights - 0.01 * (weights - weights.flip(-1)).detach()
        if self.fault == "half inside":
            weights = weights.half().to(q.dtype)
        if self.fault == "sloppy":
            weights = weights.bfloat16().to(q.dtype) if q.dtype == torch.float32 else weights
        return weights

    def mix(self, q, k, v, where=None, params=None, state=None):
        if self.fault == "transposed":
            matrix = self.matrix(q, k, where, params, state)
            return (matrix.transpose(-1, -2) if where.T == where.S else matrix) @ v
        if self.fault == "gated":
            return super().mix(q, k, v, where, params, state) * torch.sigmoid(v.mean(-2, keepdim=True))
        if self.fault == "wrong head shared" and k.shape[1] == 1:
            return super().mix(q, k, v.roll(1, -2).expand(-1, q.shape[1], -1, -1), where, params, state)
        return super().mix(q, k, v, where, params, state)


FAULTS = [
    ("mask polarity", SOUND, "masked keys are inert"),
    ("mask ignored", SOUND, "padding is inert"),
    ("mask ignored", SOUND, "a row that sees nothing is zero"),
    ("top-left", SOUND_CAUSAL, "the future does not leak"),
    ("off by one", SOUND_CAUSAL, "the future does not leak"),
    ("off by one", SOUND_CAUSAL, "causal"),
    ("batch normalized", SOUND, "batch items are independent"),
    ("keys normalized", SOUND, "padding is inert"),
    ("keys normalized", SOUND_CAUSAL, "the future does not leak"),
    ("keys normalized", SOUND_CAUSAL, "step by step equals the whole"),
    ("queries normalized", SOUND_CAUSAL, "the future does not leak"),
    ("detached", SOUND, "gradients"),
    ("nan", SOUND, "a row that sees nothing is zero"),
    ("uniform when empty", SOUND, "a row that sees nothing is zero"),
    ("scaled weights", SOUND, "rows sum to one"),
    ("negative", SOUND, "gradients"),
    ("half inside", SOUND, "rows sum to one"),
    ("sloppy", SOUND, "float32 within the error budget"),
    ("transposed", SOUND, "mix equals matrix @ v"),
    ("transposed", SOUND, "identity values read out the matrix"),
    ("gated", SOUND, "mix equals matrix @ v"),
    ("wrong head shared", SOUND, "shared heads equal repeated heads"),
]


@pytest.mark.parametrize(("fault", "sound", "law"), FAULTS, ids=[f"{fault}: {law}" for fault, _, law in FAULTS])
def test_a_planted_fault_breaks_its_law(fault, sound, law):
    assert law in failed(check_attention(Wrong(pattern=sound.pattern, fault=fault)))


@pytest.mark.parametrize("claim", ["rows_sum_to_one", "nonnegative", "causal", "order_free"])
def test_a_claim_that_does_not_hold_is_found_and_so_is_one_not_made(claim):
    law = {
        "rows_sum_to_one": "rows sum to one",
        "nonnegative": "weights are not negative",
        "causal": "causal",
        "order_free": "shuffled keys are inert",
    }[claim]
    modest = replace(SOUND.claims(), **{claim: False})
    if claim != "causal":
        row = check_attention(SOUND, modest)[law]
        assert row.status == "failed" and "claim it" in row.detail
    boast = Claims(rows_sum_to_one=True, nonnegative=True, causal=True, order_free=True)
    liar = {"causal": SOUND, "order_free": SOUND_CAUSAL}.get(claim, Wrong(fault="negative"))
    if claim == "rows_sum_to_one":
        liar = Wrong(fault="scaled weights")
    if claim == "nonnegative":
        liar = Negative()
    assert check_attention(liar, boast)[law].status == "failed"


@dataclass(frozen=True)
class Negative(Pairwise):
    """Weights of both signs that sum to one."""

    def matrix(self, q, k, where=None, params=None, state=None):
        return 1.5 * super().matrix(q, k, where, params, state) - 0.5 * super().matrix(-q, k, where, params, state)


def test_a_window_one_key_too_wide_is_found():
    def window(width):
        def call(q, k, v, where):
            mask = (where.j <= where.i) & (where.j > where.i - width)
            if where.keep is not None:
                mask = mask & where.keep[:, None, None, :]
            return torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)

        return call

    claimed = Facts(causal=True, window=4)
    assert check_attention(window(4), claimed)["the window is exact"].status == "passed"
    for width, seen in ((3, "sees 3 keys"), (5, "sees between 4 and 5 keys")):
        row = check_attention(window(width), claimed)["the window is exact"]
        assert row.status == "failed" and seen in row.detail


def test_what_raises_has_failed_with_its_sentence():
    def broken(q, k, v, where):
        raise RuntimeError("no such kernel\nand more")

    report = check_attention(broken)
    row = report["padding is inert"]
    assert row.status == "failed" and row.detail == "raised RuntimeError: no such kernel"


def test_a_wrong_shape_is_said():
    row = check_attention(lambda q, k, v, where: v)["mix equals matrix @ v"]
    assert row.status == "failed" or "shape" in row.detail
    assert (
        "shape" in check_attention(lambda q, k, v, where: (q @ k.mT @ v).sum(1))["batch items are independent"].detail
    )


def test_what_it_takes_not_is_not_applicable():
    def square(q, k, v, where):
        raise NotImplementedError("takes squares alone")

    assert check_attention(square)["padding is inert"].detail == "takes squares alone"
    assert check_attention(square)["padding is inert"].status == "not applicable"


def test_the_report_is_a_table_and_plain_data():
    report = check_attention(Wrong(fault="mask ignored"))
    lines = str(report).splitlines()
    assert lines[0].startswith("Wrong: ") and "failed" in lines[0]
    starts = {line.index(row.law) for line, row in zip(lines[1:], report.rows, strict=True)}
    assert len(starts) == 1
    plain = report.to_dict()
    assert plain["ok"] is False
    assert {row["law"]: row["status"] for row in plain["laws"]}["padding is inert"] == "failed"
    with pytest.raises(KeyError, match="no law 'paddding'"):
        report["paddding"]


def test_the_same_seed_gives_the_same_report():
    one, two = (check_attention(SOUND, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert one == two


def test_neither_operator_nor_function_is_refused():
    with pytest.raises(ValueError, match="takes an operator, a function or a module; got int"):
        check_attention(3)
    with pytest.raises(ValueError, match="takes a normalizer or a function; got int"):
        check_normalizer(3)


@pytest.mark.parametrize("normalizer", [kind() for kind in NORMALIZERS], ids=repr)
def test_every_normalizer_of_ours_passes(normalizer):
    assert not failed(check_normalizer(normalizer))


def test_a_tie_may_be_cut_and_is_said():
    report = check_normalizer(TopK(3))
    assert not failed(report) and report["ties are equal"].detail == "ties at its cut are broken"


@pytest.mark.parametrize("alpha", [None, 1.0, 1.0001, 1.3, 1.9999, 2.0])
def test_entmax_passes_at_every_alpha(alpha):
    report = check_normalizer(Entmax(alpha))
    assert not failed(report)
    assert report["alpha = 1 is softmax"].status == report["alpha = 2 is sparsemax"].status == "passed"


def plain_softmax(scores, allowed, dim=-1):
    weights = torch.softmax(scores if allowed is None else scores.masked_fill(~allowed, -1e30), dim=dim)
    return weights if allowed is None else weights.masked_fill(~allowed, 0.0)


NORMALIZER_FAULTS = [
    (lambda s, a: plain_softmax(s, a, dim=-2), "rows sum to one"),
    (lambda s, a: plain_softmax(s, None), "masked scores get nothing"),
    (lambda s, a: plain_softmax(s - s.mean(-1, keepdim=True) * 1e-3 * s, a), "masked scores are inert"),
    (lambda s, a: plain_softmax(-s, a), "larger scores get no less"),
    (lambda s, a: plain_softmax(s * s.abs(), a), "a shift changes nothing"),
    (lambda s, a: plain_softmax(s + torch.arange(s.shape[-1]), a), "ties are equal"),
    (lambda s, a: plain_softmax(s + torch.arange(s.shape[-1]), a), "shuffled scores give shuffled weights"),
    (lambda s, a: plain_softmax(s.detach() + 0 * s, a), "gradients"),
    (lambda s, a: plain_softmax(s, a) - 1e-3, "weights are not negative"),
    (lambda s, a: s.exp() * (1 if a is None else a) / (s.exp() * (1 if a is None else a)).sum(-1, keepdim=True),
     "extreme scores are survived"),
    (lambda s, a: torch.softmax(s if a is None else s.masked_fill(~a, float("-inf")), -1), "an all-masked row is zero"),
    (lambda s, a: torch.softmax(s if a is None else s.masked_fill(~a, -1e30), -1), "an all-masked row is zero"),
    (lambda s, a: 0.9 * plain_softmax(s, a), "one visible key gets all"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fn", "law"), NORMALIZER_FAULTS, ids=[f"{n} {law}" for n, (_, law) in enumerate(NORMALIZER_FAULTS)]
)
def test_a_planted_fault_in_a_normalizer_breaks_its_law(fn, law):
    assert law in failed(check_normalizer(fn, call=lambda fn, scores, allowed: fn(scores, allowed)))


def test_a_function_that_takes_its_mask_by_name_is_given_it():
    assert not failed(check_normalizer(plain_softmax))


def test_a_silent_wrong_second_derivative_is_found():
    class Once(torch.autograd.Function):
        @staticmethod
        def forward(ctx, scores):
            weights = torch.softmax(scores, -1)
            ctx.save_for_backward(weights.detach())
            return weights

        @staticmethod
        def backward(ctx, grad):
            (weights,) = ctx.saved_tensors
            weights = weights.detach()
            return weights * (grad - (grad * weights).sum(-1, keepdim=True))

    def masked(fn, scores, allowed):
        hidden = scores if allowed is None else scores.masked_fill(~allowed, -1e30)
        weights = Once.apply(hidden)
        return weights if allowed is None else weights.masked_fill(~allowed, 0.0)

    assert failed(check_normalizer(masked, call=masked)) == {"double backward"}


@pytest.mark.parametrize("seed", [1, 3])
def test_a_claim_not_made_may_fail_for_some_parameters_alone(seed):
    row = check_attention(Pairwise(refine=(Recurrent(),)), generator=torch.Generator().manual_seed(seed))[
        "weights are not negative"
    ]
    assert row.status == "passed" and row.detail.startswith("not claimed, and seen to fail")


def test_a_function_that_cannot_be_called_so_is_told_how_and_breaks_no_law():
    def attention(q, k, v):
        return v

    with pytest.raises(ValueError, match=r"attention is called as attention\(q, k, v, where\) and takes \(q, k, v\)"):
        check_attention(attention)
