"""Numbers too small to matter are not computed with, and the setting of the thread is as it was."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

import attnkit
from attnkit.attention.position import Alibi
from attnkit.kernels.denormals import flushed


def flushes() -> bool:
    return not bool(torch.full((), torch.finfo(torch.float32).tiny, dtype=torch.float32, device="cpu") * 0.5)


@pytest.fixture(autouse=True)
def as_it_was() -> None:
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    torch.set_flush_denormal(False)


def test_within_they_are_zero_and_behind_they_are_not() -> None:
    with flushed():
        assert flushes()
    assert not flushes()


def test_what_was_on_stays_on_also_behind_an_error() -> None:
    torch.set_flush_denormal(True)
    with pytest.raises(KeyError), flushed():
        raise KeyError
    assert flushes()
    torch.set_flush_denormal(False)


def test_what_was_on_stays_on_where_numbers_are_double() -> None:
    torch.set_flush_denormal(True)
    torch.set_default_dtype(torch.float64)
    try:
        with flushed():
            pass
        assert flushes()
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_flush_denormal(False)


def test_the_default_device_does_not_matter() -> None:
    with torch.device("meta"), flushed():
        assert flushes()
    assert not flushes()


@pytest.mark.parametrize("kernel", ["slabs", "rows"])
def test_a_kernel_leaves_the_thread_as_it_was(kernel: str) -> None:
    q, k, v = (torch.randn(1, 2, 40, 8, requires_grad=True) for _ in range(3))
    attnkit.attend(q, k, v, attnkit.Pairwise(position=Alibi()), kernel=kernel).sum().backward()
    assert not flushes()


@pytest.mark.parametrize("kernel", ["slabs", "rows"])
def test_a_kernel_flushes_both_ways(kernel: str, monkeypatch: pytest.MonkeyPatch) -> None:
    entered = []

    @contextmanager
    def counted() -> Iterator[None]:
        entered.append(kernel)
        with flushed():
            yield

    home = {"slabs": "attnkit.kernels.slabs", "rows": "attnkit.kernels.rows.engine"}[kernel]
    monkeypatch.setattr(f"{home}.flushed", counted)
    q, k, v = (torch.randn(1, 2, 40, 8, requires_grad=True) for _ in range(3))
    out = attnkit.attend(q, k, v, attnkit.Pairwise(position=Alibi()), kernel=kernel)
    assert len(entered) == 1
    out.sum().backward()
    assert len(entered) == 2
