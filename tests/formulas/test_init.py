"""How parameters begin: each filling against its printed rule."""

import math

import torch

from attnkit.attention.init import Init, constant, glorot, identity, normal, ones, zeros


def test_plain_fillings() -> None:
    assert zeros.fill((2, 3)).tolist() == [[0.0] * 3] * 2
    assert ones.fill((2,)).tolist() == [1.0, 1.0]
    assert constant(2.5).fill((1, 2)).tolist() == [[2.5, 2.5]]


def test_the_identity_stands_on_the_last_two_axes() -> None:
    assert identity.fill((3, 5)).tolist() == [[float(row == column) for column in range(5)] for row in range(3)]
    filled = identity.fill((4, 2, 2))
    assert filled.tolist() == [[[1.0, 0.0], [0.0, 1.0]]] * 4
    filled[0, 0, 0] = 7.0
    assert filled[1, 0, 0] == 1.0


def test_normal_draws_are_scaled_and_moved() -> None:
    drawn = torch.randn(4, 3, generator=torch.Generator().manual_seed(5))
    moved = Init(mean=3.0, std=0.5).fill((4, 3), torch.Generator().manual_seed(5))
    assert torch.equal(moved, drawn * 0.5 + 3.0)
    assert normal(0.25).std == 0.25


def test_glorot_is_two_over_the_sum_of_both_sides() -> None:
    assert glorot(3, 5).std == math.sqrt(2 / 8)
