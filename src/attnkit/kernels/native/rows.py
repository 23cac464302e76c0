"""Loops over the rows of a slab: what is checked before a pointer is passed."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from attnkit.kernels.native.loading import library, plain, threads


def weigh_(loop: str, x: Tensor, *settings: float) -> bool:
    """The loop "sparsemax", "entmax15" or "entmax" (with a) in place; False, with nothing done, where it cannot be."""
    function = _function(loop, x)
    if function is None:
        return False
    for (rows,) in matrices(x):
        function(rows.data_ptr(), rows.stride(0), *rows.shape, *settings, threads())
    torch.autograd.graph.increment_version(x)
    return True


def weigh_back_(loop: str, weights: Tensor, grad: Tensor, *settings: float) -> bool:
    """The loop of that name with "_backward", in place on `grad`; False where it cannot be."""
    function = _function(f"{loop}_backward", weights, grad)
    if function is None or weights.shape != grad.shape:
        return False
    for own, back in matrices(weights, grad):
        function(own.data_ptr(), own.stride(0), back.data_ptr(), back.stride(0), *own.shape, *settings, threads())
    torch.autograd.graph.increment_version(grad)
    return True


def drop_(x_HRS: Tensor, starts: Sequence[tuple[int, int]], first: tuple[int, int], least: int, scale: float) -> bool:
    """x times `scale` where the hash of row key and column key is at least `least`, else 0; False where it cannot be.

    `starts` are what the keys of rows and columns start from, a pair a head, and `first` the first index of both.
    """
    function = _function("dropout", x_HRS)
    if function is None or x_HRS.dim() != 3:
        return False
    pointer, (heads, row, _), (_, *size) = x_HRS.data_ptr(), x_HRS.stride(), x_HRS.shape
    # One check for all heads: slabs are many, and a check takes as long as a small slab does.
    for head, (rows, columns) in enumerate(starts):
        place = pointer + head * heads * x_HRS.element_size()
        function(place, row, *size, rows, first[0], columns, first[1], least, scale, threads())
    torch.autograd.graph.increment_version(x_HRS)
    return True


def cap_(x: Tensor, slope: Tensor | None, cap: float) -> bool:
    """x becomes cap tanh(x / cap), and `slope`, where given, 1 - tanh^2; False, nothing done, where it cannot be."""
    both = (x,) if slope is None else (x, slope)
    function = _function("cap", *both)
    if function is None or any(one.shape != x.shape for one in both):
        return False
    for rows, *more in matrices(*both):
        beside = (more[0].data_ptr(), more[0].stride(0)) if more else (None, 0)
        function(rows.data_ptr(), rows.stride(0), *beside, *rows.shape, cap, threads())
    for one in both:
        torch.autograd.graph.increment_version(one)
    return True


def matrices(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """The same tensors as matrices (rows, S) with one row stride each, slice by slice where it must be."""
    first = tensors[0]
    if first.dim() == 2:
        yield tensors
    elif first.dim() == 1:
        yield tuple(x[None] for x in tensors)
    elif all(_merges(x) for x in tensors):
        yield from matrices(*(x.flatten(0, 1) for x in tensors))
    else:
        for index in range(first.shape[0]):
            yield from matrices(*(x[index] for x in tensors))


def _merges(x: Tensor) -> bool:
    return x.shape[0] == 1 or x.shape[1] == 1 or x.stride(0) == x.stride(1) * x.shape[1]


def _function(loop: str, *tensors: Tensor) -> Callable[..., None] | None:
    active = library()
    if active is None or not all(plain(x) and x.dim() and x.numel() and _apart(x) for x in tensors):
        return None
    # Not by index: that makes a new function, which does not know its signature.
    return getattr(active, f"attnkit_{loop}")


def _apart(x: Tensor) -> bool:
    """True where no two rows share memory, as they do in an expanded tensor."""
    least = x.shape[-1]
    for size, stride in sorted(zip(x.shape[:-1], x.stride()[:-1], strict=True), key=lambda pair: pair[1]):
        if size > 1:
            if stride < least:
                return False
            least = stride * size
    return True
