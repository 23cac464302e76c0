"""Denormals: numbers below 1e-38, which a steep bias makes by the million, and which many processors take slowly."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def flushed() -> Iterator[None]:
    """Within it this thread takes numbers below 1.2e-38 for zero; what was set before is set again.

    The weight of a far key under ALiBi is such a number, and a product with it took ten times as long. No sum that
    anybody can read feels it. torch's other threads, to which it hands part of the heads, keep their own setting.
    """
    # Whatever type and device are the defaults: in float64 half of it is no denormal.
    least = torch.full((), torch.finfo(torch.float32).tiny, dtype=torch.float32, device="cpu")
    before = not bool(least * 0.5)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)
