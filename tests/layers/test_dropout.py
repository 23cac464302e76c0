"""Dropout on activations: unbiased, one mask in both directions and however a tensor lies, torch's own elsewhere."""

import pytest
import torch
from torch import nn

from attnkit.layers import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_the_share_that_stays_and_the_mean_are_right(p: float) -> None:
    torch.manual_seed(0)
    y = Dropout(p)(torch.ones(40, 50, 128))
    stays = y != 0
    assert torch.allclose(y[stays], torch.tensor(1 / (1 - p)))
    # 256,000 draws: five standard errors.
    assert abs(float(stays.double().mean()) - (1 - p)) < 5 * (p * (1 - p) / stays.numel()) ** 0.5
    # No row and no column of activations is dropped more than others.
    for axes, count in (((0, 1), 2000), ((2,), 128)):
        shares = stays.double().mean(axes)
        assert float((shares - (1 - p)).abs().max()) < 5.5 * (p * (1 - p) / count) ** 0.5


def test_masks_differ_from_call_to_call_and_follow_the_seed() -> None:
    x = torch.ones(30, 64)
    dropout = Dropout(0.5)
    torch.manual_seed(1)
    first, second = dropout(x), dropout(x)
    torch.manual_seed(1)
    assert torch.equal(dropout(x), first) and not torch.equal(first, second)
    assert 0.4 < float((first == second).double().mean()) < 0.6


@pytest.mark.parametrize("shape", [(7,), (5, 3), (2, 9, 6), (0, 4), (3, 0)])
def test_both_directions_see_one_mask_and_can_be_differentiated_again(shape: tuple[int, ...]) -> None:
    x = torch.randn(shape, requires_grad=True)
    y = Dropout(0.3)(x)
    assert y.shape == x.shape
    (grad,) = torch.autograd.grad((y * y).sum() / 2, x, create_graph=True)
    torch.testing.assert_close(grad, y / 0.7)
    (again,) = torch.autograd.grad(grad.sum(), x)
    torch.testing.assert_close(again, (y != 0) / 0.49)


def test_a_turned_tensor_and_a_turned_gradient_meet_one_mask() -> None:
    x = torch.randn(3, 6, 5).transpose(1, 2).requires_grad_()
    torch.manual_seed(2)
    y = Dropout(0.5)(x)
    y.backward(torch.ones(3, 6, 5).transpose(1, 2))
    assert x.grad is not None
    torch.testing.assert_close(x.grad * x.detach(), y.detach())
    torch.manual_seed(2)
    assert torch.equal(Dropout(0.5)(x.detach().contiguous()), y)


def test_native_and_plain_masks_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(17, 33)
    torch.manual_seed(3)
    one = Dropout(0.2)(x)
    monkeypatch.setattr("attnkit.kernels.native.rows.library", lambda: None)
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.2)(x), one)


@pytest.mark.parametrize(
    ("p", "dtype"), [(0.5, torch.float64), (0.5, torch.bfloat16), (0.0, torch.float32), (1.0, torch.float32)]
)
def test_what_is_not_counted_is_torchs_own(p: float, dtype: torch.dtype) -> None:
    x = torch.randn(50, 4, dtype=dtype)
    torch.manual_seed(4)
    one = Dropout(p)(x)
    torch.manual_seed(4)
    assert torch.equal(one, nn.Dropout(p)(x))


def test_nothing_is_dropped_outside_training() -> None:
    x = torch.randn(9, 4)
    assert torch.equal(Dropout(0.5).eval()(x), x)
