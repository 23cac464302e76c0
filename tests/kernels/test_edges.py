"""Edges that every kernel meets: layouts, masks of another batch, nothing to attend to, state that plans depend on."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from attnkit.attention.normalizer import Sigmoid
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.pattern import Causal, Documents, Segments, Window
from attnkit.attention.position import Alibi
from attnkit.attention.score import Euclidean
from attnkit.attention.where import Where
from attnkit.kernels import Situation, attend, native, plan
from attnkit.kernels.packed import Pieces
from attnkit.kernels.plan import KERNELS
from tests.kernels.agree import agrees, draw

SPECS = {
    "sdpa": Pairwise(),
    "slabs": Pairwise(position=Alibi(), pattern=Causal()),
    "banded": Pairwise(pattern=Window(5)),
    "rows": Pairwise(normalizer=Sigmoid()),
    "lengths": Pairwise(),
}


def channels_first(x: Tensor) -> Tensor:
    """The same numbers, tokens side by side, as a convolution leaves them."""
    return x.mT.contiguous().mT


def spread(x: Tensor) -> Tensor:
    """One number for all of the last axis, without memory of its own."""
    return x[..., :1].expand_as(x)


@pytest.mark.parametrize("layout", [channels_first, spread])
@pytest.mark.parametrize("kernel", SPECS)
def test_every_kernel_reads_every_layout(kernel: str, layout) -> None:  # type: ignore[no-untyped-def]
    q, k, v = (layout(x.detach()).requires_grad_() for x in draw(0, 40, 40))
    where = Where.of(40, 40, lengths=torch.tensor([25, 40])) if kernel == "lengths" else None
    found = []
    for name in ("reference", kernel):
        out = attend(q, k, v, SPECS[kernel], where=where, kernel=name)
        found.append((out, *torch.autograd.grad(out.square().sum(), (q, k, v))))
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-10)


def test_the_sigmoid_counts_keys_where_only_queries_are_padding() -> None:
    agrees(Pairwise(normalizer=Sigmoid()), "rows", 11, 14, query_keep=torch.arange(11)[None] < 8)


def test_some_columns_of_a_where_are_not_taken_for_the_first_keys() -> None:
    q, k, v = draw(0, 12, 20)
    where = Where.of(12, 20, lengths=torch.tensor([13, 20])).columns(8, 20)
    assert where.lengths is None and where.real_lengths.tolist() == [13, 20]
    expected = attend(q, k[:, :, 8:], v[:, :, 8:], where=where, kernel="reference")
    torch.testing.assert_close(attend(q, k[:, :, 8:], v[:, :, 8:], where=where), expected)
    pieces = Segments(count=2)
    whole = pieces.allowed(Where.of(20, 20).i, Where.of(20, 20).j, Where.of(20, 20))
    part = Where.of(20, 20).columns(5, 9)
    assert torch.equal(pieces.allowed(part.i, part.j, part), whole[..., 5:9])


def test_lengths_of_nothing_and_lengths_for_all_items() -> None:
    q, k, v = draw(0, 6, 7)
    none = Where.of(6, 7, lengths=torch.zeros(2, dtype=torch.int64))
    out = attend(q, k, v, where=none, kernel="lengths")
    for gradient in torch.autograd.grad(out.sum(), (q, k, v), allow_unused=True):
        assert gradient is None or not gradient.any()
    one = Where.of(6, 7, lengths=torch.tensor([4]))
    for kernel in ("lengths", "rows", "slabs"):
        torch.testing.assert_close(
            attend(q, k, v, where=one, kernel=kernel), attend(q, k, v, where=one, kernel="reference")
        )


@pytest.mark.parametrize("name", ["keep", "query_keep", "lengths", "query_document"])
def test_a_mask_for_another_batch_is_refused(name: str) -> None:
    q, k, v = draw(0, 6, 6)
    x = {
        "keep": torch.ones(3, 6, dtype=torch.bool),
        "query_keep": torch.ones(3, 6, dtype=torch.bool),
        "lengths": torch.tensor([1, 2, 3]),
        "query_document": torch.zeros(3, 6, dtype=torch.int64),
    }[name]
    where = replace(Where.of(6, 6), **{name: x})
    for kernel in ("rows", "banded", "slabs"):
        with pytest.raises(ValueError, match=f"{name} is for 3 items; q has 2"):
            attend(q, k, v, Pairwise(pattern=Window(3)), where=where, kernel=kernel)


@pytest.mark.parametrize(("B", "T", "S"), [(0, 4, 4), (2, 0, 4), (2, 4, 0), (2, 0, 0)])
def test_nothing_to_attend_to_gives_zeros_and_gradients_of_zero(B: int, T: int, S: int) -> None:
    q = torch.randn(B, 4, T, 8, requires_grad=True)
    k, v = (torch.randn(B, 4, S, 8, requires_grad=True) for _ in range(2))
    for spec in (*SPECS.values(), Pairwise(pattern=Documents())):
        out = attend(q, k, v, spec)
        assert out.shape == (B, 4, T, 8) and not out.any()
        for gradient in torch.autograd.grad(out.sum(), (q, k, v), allow_unused=True):
            assert gradient is None or not gradient.any()


def test_a_plan_remembers_threads_and_native_loops() -> None:
    q, k, v = (torch.randn(1, 8, 512, 64, dtype=torch.bfloat16) for _ in range(3))
    before = torch.get_num_threads()
    try:
        asked = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            asked.append(Situation.of(q, k, v, Where.of(512, 512)))
    finally:
        torch.set_num_threads(before)
    assert [one.threads for one in asked] == [1, 2]
    blocks = next(kernel for kernel in KERNELS if kernel.name == "blocks")
    assert plan(Pairwise(), asked[1]).kernel is not blocks
    with native.without_native():
        assert not Situation.of(q, k, v, Where.of(512, 512)).loops


def test_a_backward_pass_goes_on_with_the_loops_that_its_forward_pass_had() -> None:
    q, k, v = (x.detach().float().requires_grad_() for x in draw(0, 40, 40, D=16, E=16))
    spec = Pairwise(pattern=Window(9))
    out = attend(q, k, v, spec, kernel="banded")
    with native.without_native():
        found = torch.autograd.grad(out.sum(), (q, k, v))
        expected = torch.autograd.grad(attend(q, k, v, spec, kernel="reference").sum(), (q, k, v))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kernel", ["slabs", "banded", "rows"])
def test_second_derivatives_of_some_inputs_alone(kernel: str) -> None:
    q, k, v = draw(0, 7, 7)
    k = k.detach()
    found = []
    for name in (kernel, "reference"):
        loss = attend(q, k, v, SPECS[kernel], kernel=name).square().sum()
        (first,) = torch.autograd.grad(loss, q, create_graph=True)
        found.append(torch.autograd.grad(first.square().sum(), (q, v)))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)


def test_every_kernel_gives_the_type_that_it_was_given() -> None:
    q, k, v = (torch.randn(1, 2, 300, 32, dtype=torch.bfloat16) for _ in range(3))
    for spec in (
        Pairwise(Euclidean(width=2.0)),
        Pairwise(Euclidean(width=2.0), pattern=Causal()),
        Pairwise(pattern=Window(4)),
    ):
        assert attend(q, k, v, spec).dtype == torch.bfloat16
    with pytest.raises(ValueError, match="the Euclidean score is computed in float32"):
        attend(q, k, v, Pairwise(Euclidean(width=2.0)), kernel="blocks")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda q: attend(q, q, q, "vaswani"), "spec must be an Attention, such as Pairwise"),
        (lambda q: attend(q, q.float(), q), "q, k and v must be of one type; got torch.float64, torch.float32"),
        (lambda q: Where.of(6, 6, lengths=torch.tensor([-1, 3])), r"lengths must be in 0..6, the number of keys"),
        (lambda q: Where.of(6, 6, lengths=torch.tensor([2, 7])), r"lengths must be in 0..6, the number of keys"),
        (lambda q: Pieces([3, 4]), "lengths must be a tuple of one whole number a document"),
        (lambda q: Pieces((1.5,)), "lengths must be a tuple of one whole number a document"),
        (lambda q: Pieces(()), "lengths must be a tuple of one whole number a document"),
    ],
)
def test_bad_input_gets_one_sentence(call, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ValueError, match=sentence):
        call(draw(0, 6, 6)[0])
