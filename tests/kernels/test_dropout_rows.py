"""Dropout by counting: unbiased, independent by row, column, head and seed, and one mask however the map is cut."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from attnkit.kernels import native
from attnkit.kernels.rows.dropout import DropoutMask
from attnkit.kernels.rows.place import Space


@pytest.fixture(params=["native", "plain PyTorch"])
def each_way(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "native":
        if native.library() is None:
            pytest.skip(f"native loops: {native.reason()}")
        yield request.param
        return
    with native.without_native():
        yield request.param


def stays(mask: DropoutMask, rows: int, columns: int, head: int = 0, row: int = 0, column: int = 0) -> Tensor:
    return mask.apply_(torch.ones(rows, columns), head, row, column) > 0


def z_of(hits: Tensor, p: float) -> float:
    """By how many standard deviations the share of True is off p."""
    n = hits.numel()
    return float((hits.double().sum() - n * p) / math.sqrt(n * p * (1 - p)))


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_a_share_p_is_dropped_and_the_rest_scaled(p: float, each_way: str) -> None:
    x = torch.randn(300, 1001, generator=torch.Generator().manual_seed(0)) + 5.0
    got = DropoutMask(7, p).apply_(x.clone(), 0, 0, 0)
    kept = got != 0
    assert abs(z_of(kept, 1 - p)) < 4
    torch.testing.assert_close(got[kept], x[kept] / (1 - p))


def test_nothing_is_dropped_at_zero(each_way: str) -> None:
    x = torch.randn(3, 5)
    assert torch.equal(DropoutMask(7, 0.0).apply_(x.clone(), 0, 0, 0), x)


def test_rows_and_columns_share_alike(each_way: str) -> None:
    """Chi square of the counts by row and by column: a row or a column is not luckier than another."""
    kept = stays(DropoutMask(11, 0.3), 1000, 1200).double()
    for counts, n in ((kept.sum(1), 1200), (kept.sum(0), 1000)):
        chi = ((counts - 0.7 * n) ** 2 / (n * 0.21)).sum() - counts.numel()
        assert abs(chi / math.sqrt(2 * counts.numel())) < 4


def test_pairs_of_rows_and_of_columns_are_independent(each_way: str) -> None:
    """Correlations of all pairs: none large, and their squares as they should be on average."""
    kept = stays(DropoutMask(12, 0.5), 600, 700).double()
    for one, n in ((kept, 700), (kept.T, 600)):
        z = torch.corrcoef(one).triu(1) * math.sqrt(n)
        pairs = one.shape[0] * (one.shape[0] - 1) / 2
        assert z.abs().max() < 6
        assert abs((z.square().sum() / pairs - 1) / math.sqrt(2 / pairs)) < 5


def test_rectangles_are_even(each_way: str) -> None:
    """The parity of a rectangle's corners is a coin: what a sum of row and column keys would first betray."""
    kept = stays(DropoutMask(13, 0.5), 512, 512)
    for down, right in ((1, 1), (1, 64), (3, 7), (128, 256)):
        odd = kept ^ kept.roll(down, 0) ^ kept.roll(right, 1) ^ kept.roll((down, right), (0, 1))
        assert abs(z_of(odd, 0.5)) < 4


@pytest.mark.parametrize("other", [(14, 1), (14, 8), (15, 0), (14 + (1 << 31), 0), (14 + (1 << 32), 0), (-14, 0)])
def test_heads_and_seeds_are_independent(other: tuple[int, int], each_way: str) -> None:
    seed, head = other
    mine, theirs = stays(DropoutMask(14, 0.5), 512, 512), stays(DropoutMask(seed, 0.5), 512, 512, head=head)
    assert abs(z_of(mine == theirs, 0.5)) < 4
    # Nor are they each other's rows, columns, or transpose.
    for moved in (theirs.roll(1, 0), theirs.roll(1, 1), theirs.T, theirs.flip(0)):
        assert abs(z_of(mine == moved, 0.5)) < 4


def test_a_map_is_not_its_own_transpose(each_way: str) -> None:
    mine = stays(DropoutMask(16, 0.5), 400, 400)
    above = torch.ones(400, 400, dtype=torch.bool).triu(1)
    assert abs(z_of((mine == mine.T)[above], 0.5)) < 4


def test_one_mask_however_the_map_is_cut(each_way: str) -> None:
    mask = DropoutMask(17, 0.2)
    x = torch.randn(130, 301, generator=torch.Generator().manual_seed(1))
    whole = mask.apply_(x.clone(), 3, 0, 0)
    space = Space(torch.float32, torch.device("cpu"))
    for height, width in ((1, 301), (64, 301), (7, 50), (130, 13)):
        cut = x.clone()
        for row in range(0, 130, height):
            for column in range(0, 301, width):
                mask.apply_(cut[row : row + height, column : column + width], 3, row, column, space)
        assert torch.equal(cut, whole)


@pytest.mark.parametrize("shape", [(1, 1), (3, 15), (2, 16), (5, 17), (40, 1000), (300, 4096)])
@pytest.mark.parametrize("p", [1e-4, 0.1, 0.5, 0.999])
def test_native_and_plain_masks_agree_to_the_bit(shape: tuple[int, int], p: float) -> None:
    found = native.library()
    if found is None:
        pytest.skip(f"native loops: {native.reason()}")
    mask = DropoutMask(-(1 << 40) + 3, p)
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    with native.without_native():
        plain = mask.apply_(x.clone(), 5, 70_000, 9)
        double = mask.apply_(x.double(), 5, 70_000, 9)
    assert torch.equal(plain != 0, double != 0)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for level in range(3):
                if found.attnkit_use_level(level):
                    assert torch.equal(mask.apply_(x.clone(), 5, 70_000, 9), plain)
    finally:
        torch.set_num_threads(before)
        found.attnkit_use_level(0)


def test_the_mask_is_the_one_it_always_was(each_way: str) -> None:
    """A run that is resumed after an upgrade must drop what it dropped before."""
    kept = stays(DropoutMask(2024, 0.5), 4, 16, head=1, row=2, column=3)
    assert ["".join("#" if one else "." for one in line) for line in kept.tolist()] == [
        "##.####.#.#.#.#.",
        "####..#######.#.",
        "########..##..#.",
        "#####.##..###.##",
    ]


def test_gradients_take_the_same_mask_and_scale(each_way: str) -> None:
    mask = DropoutMask(18, 0.4)
    weights, grad = torch.rand(20, 30) + 0.1, torch.randn(20, 30)
    factor = mask.apply_(weights.clone(), 2, 40, 60) / weights
    torch.testing.assert_close(mask.apply_(grad.clone(), 2, 40, 60), grad * factor)


def test_a_dropped_number_leaves_no_nan(each_way: str) -> None:
    mask = DropoutMask(19, 0.5)
    kept = stays(mask, 8, 40)
    got = mask.apply_(torch.full((8, 40), torch.nan), 0, 0, 0)
    assert torch.equal(got.isnan(), kept) and (got[~kept] == 0).all()


def test_what_cannot_be_done_says_so() -> None:
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\); got 1.0"):
        DropoutMask(0, 1.0)
    with pytest.raises(ValueError, match=r"one head's rows and columns; got shape \(2, 3, 4\)"):
        DropoutMask(0, 0.1).apply_(torch.zeros(2, 3, 4), 0, 0, 0)
