"""Equality: a side gives the reference's numbers, within twice the error of plain computation in its own precision."""

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from attnkit.kernels.dense import DenseMapWarning
from attnkit.kernels.measure.side import Side, ours

# So many queries and keys are enough to meet every branch of a kernel, and few enough for a map in float64.
TOKENS = 768


def differs(side: Side, kernel: str, gradients: bool) -> str | None:
    """Where `kernel` errs too much on the side's operator, forward or in a gradient; None where it nowhere does.

    The truth is the reference in float64 on the same rounded inputs; twice the error of the reference in the side's own
    type is allowed, and four roundings. Dropout is held to the same kernel in float64, whose mask is the same.
    """
    assert side.spec is not None
    side = side.at_most(TOKENS)
    step = torch.finfo(side.shape.dtype).eps
    got = _results(side, kernel, gradients, side.shape.dtype)
    true_kernel = kernel if side.dropout else "reference"
    truth = _results(side, true_kernel, gradients, torch.float64)
    plain = _results(replace(side, dropout=0.0), "reference", gradients, side.shape.dtype)
    plain_truth = _results(replace(side, dropout=0.0), "reference", gradients, torch.float64) if side.dropout else truth
    for index, (one, true, rough, rough_true) in enumerate(zip(got, truth, plain, plain_truth, strict=True)):
        allowed = 2.0 * _error(rough, rough_true) + 4.0 * step
        error = _error(one, true)
        if not error <= allowed:
            what = "the output" if index == 0 else f"gradient {index}"
            return f"{what} errs by {error:.1e} (relative) where {allowed:.1e} is allowed"
    return None


def _results(side: Side, kernel: str, gradients: bool, dtype: torch.dtype) -> list[Tensor]:
    assert side.spec is not None
    made = ours(side.spec, side.shape, dropout=side.dropout, lengths=side.lengths, kernel=kernel)
    with warnings.catch_warnings():
        # The reference keeps its map because it was asked to.
        warnings.simplefilter("ignore", DenseMapWarning)
        return replace(made, computed_in=dtype).task(gradients)()


def _error(x: Tensor, truth: Tensor) -> float:
    size = float(truth.double().square().mean().sqrt())
    return float((x.double() - truth.double()).square().mean().sqrt()) / max(size, 1e-30)
