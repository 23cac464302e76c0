"""The library of native loops: found or not, chosen by processor, switched off, and nothing lost across a fork."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from attnkit.kernels import native
from attnkit.kernels.native import loading
from attnkit.kernels.native.rows import cap_

LEVELS = ("AVX-512", "AVX2", "baseline")
needs_native = pytest.mark.skipif(native.library() is None, reason=f"native loops: {native.reason()}")


@pytest.fixture(params=range(len(LEVELS)))
def each_level(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every level of instructions that this processor knows, the best one again afterwards."""
    found = native.library()
    assert found is not None
    if not found.attnkit_use_level(request.param):
        pytest.skip("this processor knows fewer levels")
    yield str(native.level())
    found.attnkit_use_level(0)


@needs_native
def test_the_exponential_is_exact_to_two_units_on_every_level(each_level: str) -> None:
    found = native.library()
    assert found is not None and each_level in LEVELS
    x = torch.cat((torch.linspace(-87.3, 88.7, 100_003), torch.linspace(-1e-3, 1e-3, 1001)))
    got = x.clone()
    found.attnkit_exponential(got.data_ptr(), got.numel(), 1, got.numel(), 1)
    wanted = x.double().exp()
    units = (got.double() - wanted).abs() / (torch.nextafter(wanted.float(), torch.tensor(torch.inf)) - wanted.float())
    assert units.max() < 2.0


@needs_native
def test_the_exponential_ends_well_on_every_level(each_level: str) -> None:
    found = native.library()
    assert found is not None and each_level in LEVELS
    edges = torch.tensor([-torch.inf, -1e30, -88.0, 0.0, -0.0, 89.0, 1e30, torch.inf, torch.nan])
    found.attnkit_exponential(edges.data_ptr(), 9, 1, 9, 1)
    wanted = torch.tensor([0.0, 0.0, 0.0, 1.0, 1.0, torch.inf, torch.inf, torch.inf, torch.nan])
    assert torch.equal(edges[:8], wanted[:8]) and edges[8].isnan()


def test_without_native_there_is_none_and_a_reason() -> None:
    with native.without_native():
        assert native.library() is None and native.level() is None
        assert "without_native" in str(native.reason())
        with native.without_native():
            assert native.library() is None
        assert native.library() is None
    assert (native.library() is None) == (native.reason() is not None)


def test_the_environment_switches_it_off() -> None:
    code = "from attnkit.kernels import native; print(native.library(), native.reason())"
    told = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ATTNKIT_NATIVE": "0"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told.startswith("None switched off by ATTNKIT_NATIVE=0")


def test_what_is_not_built_or_not_a_library_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "__file__", str(tmp_path / "loading.py"))
    monkeypatch.delenv("ATTNKIT_NATIVE", raising=False)
    found, why = loading._load.__wrapped__()
    assert found is None and "not built" in str(why) and "compiler" in str(why)
    (tmp_path / f"_loops{loading.EXTENSION_SUFFIXES[0]}").write_bytes(b"not a library")
    found, why = loading._load.__wrapped__()
    assert found is None and "cannot be used" in str(why)


@needs_native
def test_a_library_of_other_sources_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "INTERFACE", loading.INTERFACE + 1)
    found, why = loading._load.__wrapped__()
    assert found is None and "other sources" in str(why)
    monkeypatch.undo()
    monkeypatch.setitem(loading.SIGNATURES, "attnkit_nothing", ())
    found, why = loading._load.__wrapped__()
    assert found is None and "attnkit_nothing" in str(why)


def test_only_plain_memory_is_given_to_a_loop() -> None:
    x = torch.zeros(4, 6)
    assert native.plain(x) and native.plain(x[:, 1:4]) and native.plain(x[::2]) and native.plain(torch.zeros(4, 1).T)
    assert native.plain(torch.zeros(2, dtype=torch.int32), torch.int32)
    assert not native.plain(x.T) and not native.plain(x[:, ::2]) and not native.plain(x.double())
    assert (
        not native.plain(torch.nn.Parameter(x)) and not native.plain(x.to("meta")) and not native.plain(x.to_sparse())
    )
    assert not native.plain(x.clone().requires_grad_())


@needs_native
@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_threads_survive_a_fork() -> None:
    found = native.library()
    assert found is not None
    x = torch.zeros(512, 4096)

    def exponentials() -> bool:
        x.zero_()
        found.attnkit_exponential(x.data_ptr(), x.stride(0), *x.shape, 2)
        return bool((x == 1).all())

    assert exponentials()
    child = os.fork()
    if child == 0:
        # Torch's own threads do not survive a fork: the child touches memory through the loop alone.
        found.attnkit_exponential(x.data_ptr(), x.stride(0), *x.shape, 2)
        os._exit(0 if abs(float(x[511, 4095]) - 2.718281828) < 1e-6 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert exponentials()


@needs_native
def test_many_callers_at_once() -> None:
    found = native.library()
    assert found is not None
    slabs = [torch.full((64, 4096), float(i)) for i in range(4)]
    callers = [
        threading.Thread(target=found.attnkit_exponential, args=(x.data_ptr(), x.stride(0), *x.shape, 2)) for x in slabs
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    for i, x in enumerate(slabs):
        torch.testing.assert_close(x, torch.full_like(x, float(i)).exp())


@needs_native
def test_the_cap_is_exact_to_three_units_on_every_level(each_level: str) -> None:
    assert each_level in LEVELS
    x = torch.cat((torch.linspace(-30, 30, 100_003), torch.linspace(-1, 1, 30_001), torch.logspace(-30, 0, 1009)))
    capped, slope = x.clone(), torch.empty_like(x)
    assert cap_(capped, slope, 1.0)
    wanted = x.double().tanh()
    unit = torch.nextafter(wanted.abs().float(), torch.tensor(torch.inf)) - wanted.abs().float()
    assert ((capped.double() - wanted).abs() / unit).max() < 3.0
    torch.testing.assert_close(slope.double(), 1.0 - wanted.square(), rtol=0, atol=4e-7)


@needs_native
def test_the_cap_ends_well_on_every_level(each_level: str) -> None:
    assert each_level in LEVELS
    edges = torch.tensor([[-torch.inf, -1e30, -0.0, 0.0, 1e30, torch.inf, torch.nan, 1e-38]])
    assert cap_(edges, None, 50.0)
    assert torch.equal(edges[0, :6], torch.tensor([-50.0, -50.0, 0.0, 0.0, 50.0, 50.0]))
    assert edges[0, 6].isnan() and 0.0 < edges[0, 7] < 1.1e-38
