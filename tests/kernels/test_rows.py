"""rows: every operator made of pairs, a slab at a time, with the reference's numbers and all its gradients."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from attnkit.attention.catalogue import CATALOGUE
from attnkit.attention.normalizer import Entmax, Sigmoid, Sink, Softmax, Sparsemax, TopK
from attnkit.attention.normalizer.base import Normalizer
from attnkit.attention.pairwise import Pairwise
from attnkit.attention.part import Params
from attnkit.attention.pattern import Causal, Window
from attnkit.attention.position import Alibi, ClippedBias, RelativeBias
from attnkit.attention.refine import Convolution, Recurrent
from attnkit.attention.refine.base import Refinement
from attnkit.attention.score import Additive, Dot, Euclidean, ScaledDot, SoftCap
from attnkit.attention.score.base import Score
from attnkit.attention.where import Where
from attnkit.kernels import attend
from attnkit.kernels.rows.bias import diagonals
from tests.kernels.agree import agrees, draw, holes, shaken_params

PAIRWISE = [name for name, entry in CATALOGUE.items() if isinstance(entry.operator, Pairwise) and name != "documents"]


@pytest.fixture(autouse=True)
def small_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Slabs of four queries, so that short sequences have many."""
    monkeypatch.setattr("attnkit.kernels.rows.kernel.HEIGHTS", (4,))


@pytest.fixture(params=["heads together", "head by head"])
def heads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "head by head":
        monkeypatch.setattr("attnkit.kernels.rows.held.SLAB_NUMBERS", 1)


@pytest.mark.usefixtures("heads")
@pytest.mark.parametrize("name", PAIRWISE)
@pytest.mark.parametrize("size", [(11, 11), (3, 11), (9, 5), (1, 7)], ids=str)
def test_rows_equal_the_reference_for_the_whole_catalogue(name: str, size: tuple[int, int]) -> None:
    spec = CATALOGUE[name].operator
    agrees(spec, "rows", *size)
    agrees(spec, "rows", *size, keep=holes(2, size[1]), query_keep=holes(2, size[0], seed=4), G=2, E=5)


@dataclass(frozen=True)
class Squared(Normalizer):
    """A user's own: the squares of the scores, over their sum and one."""

    def weights(self, scores_BHTS: Tensor, allowed_BHTS: Tensor | None, params: Params) -> Tensor:
        squares = scores_BHTS.square()
        squares = squares if allowed_BHTS is None else squares.masked_fill(~allowed_BHTS, 0.0)
        return squares / (1.0 + squares.sum(-1, keepdim=True))


@dataclass(frozen=True)
class Farther(Score):
    """A user's own: the largest difference of two entries."""

    def scores(self, q_BHTD: Tensor, k_BHSD: Tensor, where: Where, params: Params) -> Tensor:
        return (q_BHTD[..., :, None, :] - k_BHSD[..., None, :, :]).abs().amax(-1)


@dataclass(frozen=True)
class Shuffled(Refinement):
    """A user's own, which says nothing of the rows that it reads."""

    def on_weights(self, weights, allowed, where, params, state):  # type: ignore[no-untyped-def]
        return weights.flip(2)


OWN = [
    Pairwise(Farther()),
    Pairwise(normalizer=Squared(), pattern=Window(4)),
    Pairwise(SoftCap(SoftCap(Euclidean(), cap=3.0), cap=2.0), Alibi(learned=True), Causal()),
    Pairwise(Euclidean(), ClippedBias(2), normalizer=Sigmoid()),
    Pairwise(SoftCap(Additive(3), cap=1.0), RelativeBias(8, 6), normalizer=Sink(None)),
    Pairwise(Dot(), Alibi(learned=True), normalizer=Entmax(None)),
    Pairwise(normalizer=Entmax(1.3), pattern=Window(3)),
    Pairwise(normalizer=TopK(3), pattern=Causal()),
    Pairwise(position=ClippedBias(2), refine=(Convolution(3, 3),)),
    Pairwise(refine=(Convolution(3, 3), Convolution(5, 3))),
    Pairwise(normalizer=Sparsemax(), pattern=~Causal()),
]


@pytest.mark.usefixtures("heads")
@pytest.mark.parametrize("spec", OWN, ids=str)
def test_rows_carry_parts_of_a_users_own_and_unusual_company(spec: Pairwise) -> None:
    agrees(spec, "rows", 11, 11)
    agrees(spec, "rows", 6, 11, keep=holes(2, 11), G=2)


def test_a_refinement_that_does_not_say_which_rows_it_reads_is_refused() -> None:
    with pytest.raises(ValueError, match="Shuffled does not say which other rows it reads"):
        agrees(Pairwise(refine=(Shuffled(),)), "rows", 6, 6)


def test_positions_that_are_given_are_read() -> None:
    positions = torch.tensor([[8, 1, 5, 0, 2, 7, 3, 6, 4], [0, 3, 1, 2, 4, 5, 9, 7, 8]])
    where = Where.of(9, 9, query_position=positions, key_position=positions, keep=holes(2, 9))
    agrees(Pairwise(position=ClippedBias(2), pattern=Window(4, causal=True)), "rows", 9, 9, where=where)
    ids = torch.tensor([[0, 0, 0, 1, 1, 2, 2, 2, 2], [0, 1, 1, 1, 1, 1, 3, 3, 3]])
    where = Where.of(9, 9, query_document=ids, key_document=ids)
    agrees(CATALOGUE["documents"].operator, "rows", 9, 9, where=where)


@pytest.mark.parametrize("pattern", [Causal(), Window(5)], ids=str)
def test_the_state_of_a_lower_layer_goes_in_by_rows_and_its_gradient_comes_back(pattern) -> None:  # type: ignore[no-untyped-def]
    spec = Pairwise(pattern=pattern, refine=(Recurrent(),))
    q, k, v = draw(0, 11, 11)
    state = torch.rand(2, 1, 11, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    params = shaken_params(spec, 4, 8, 8)
    found = []
    for kernel in ("reference", "rows"):
        out = attend(q, k, v, spec, params=params, state=state, kernel=kernel)
        found.append((out, *torch.autograd.grad(out.square().sum(), (q, k, v, state, *params.values()))))
    for expected, got in zip(*found, strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-11)


def test_second_derivatives_are_right_and_refused_under_dropout() -> None:
    q, k, v = draw(0, 5, 6, B=1, H=2, G=2, D=3, E=3)
    spec = Pairwise(position=Alibi(), normalizer=Sink(0.5))
    torch.autograd.gradgradcheck(lambda *x: attend(*x, spec, kernel="rows"), (q, k, v), atol=1e-6)
    out = attend(q, k, v, spec, kernel="rows", dropout=0.2)
    with pytest.raises(RuntimeError, match="no second derivatives with dropout"):
        torch.autograd.grad(out.sum(), q, create_graph=True)


@pytest.mark.parametrize("spec", [Pairwise(), Pairwise(position=ClippedBias(2)), Pairwise(pattern=Causal())], ids=str)
def test_dropout_is_the_same_mask_in_both_directions_and_from_the_generator(
    spec: Pairwise, monkeypatch: pytest.MonkeyPatch
) -> None:
    q, k, v = draw(0, 11, 11)
    params = shaken_params(spec, 4, 8, 8)

    def dropped(values: Tensor, seed: int = 5) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return attend(q, k, values, spec, params=params, dropout=0.3, generator=generator, kernel="rows")

    whole = attend(q, k, torch.eye(11, dtype=torch.float64).expand(2, 4, 11, 11), spec, params=params)
    eye = torch.eye(11, dtype=torch.float64).expand(2, 4, 11, 11)
    weights = dropped(eye)
    zero = (weights == 0) & (whole > 0)
    assert 0.2 < zero.sum() / (whole > 0).sum() < 0.4
    torch.testing.assert_close(weights, (whole / 0.7).masked_fill(zero, 0.0), rtol=1e-9, atol=1e-12)
    assert not torch.equal(zero, (dropped(eye, 6) == 0) & (whole > 0))
    mask = (~zero).double() / 0.7
    expected = (spec.matrix(q, k, params=params) * mask) @ v
    direction = torch.randn(expected.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    leaves = (q, k, v, *params.values())
    for one, other in zip(
        torch.autograd.grad((expected * direction).sum(), leaves),
        torch.autograd.grad((dropped(v) * direction).sum(), leaves),
        strict=True,
    ):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-11)
    monkeypatch.setattr("attnkit.kernels.rows.kernel.HEIGHTS", (8,))
    torch.testing.assert_close(dropped(eye), weights, rtol=1e-12, atol=1e-14)


def test_half_precision_goes_through_float32_and_comes_back() -> None:
    q, k, v = (x.detach() for x in draw(0, 40, 40, D=16, E=16))
    spec = Pairwise(SoftCap(cap=2.0), normalizer=Sparsemax())
    truth = attend(*(x.bfloat16().double() for x in (q, k, v)), spec, kernel="reference")
    got = attend(*(x.bfloat16() for x in (q, k, v)), spec, kernel="rows")
    assert got.dtype == torch.bfloat16
    assert float((got.double() - truth).abs().max()) <= 2**-8 * float(truth.abs().max())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert attend(q.float(), k.float(), v.float(), spec, kernel="rows").dtype == torch.bfloat16


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (2, 4, 3), (1, 3, 20), (3, 1, 9)], ids=str)
def test_diagonals_are_summed_down_and_to_the_left(shape: tuple[int, int, int]) -> None:
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    expected = torch.zeros(shape[0], shape[1] + shape[2] - 1, dtype=torch.float64)
    for r in range(shape[1]):
        for s in range(shape[2]):
            expected[:, r + s] += x[:, r, s]
    torch.testing.assert_close(diagonals(x), expected)


def test_scores_that_would_overflow_and_ties_are_no_trouble() -> None:
    q, k, v = draw(0, 8, 8)
    for normalizer in (Softmax(), TopK(2), Sink(0.0)):
        spec = Pairwise(ScaledDot(scale=1e3), normalizer=normalizer)
        agrees(spec, "rows", 8, 8)
        same = attend(q, k * 0, v, Pairwise(normalizer=normalizer), kernel="rows")
        torch.testing.assert_close(same, attend(q, k * 0, v, Pairwise(normalizer=normalizer), kernel="reference"))
